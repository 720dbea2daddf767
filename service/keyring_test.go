package service

import (
	"bytes"
	"strings"
	"testing"

	"github.com/latchkey-dev/latchkey/domain"
)

// TestTokenDigestIsHMAC holds the digest that is made by hand to HMAC-SHA-256 as
// the standard library has it, also for texts that outgrow the room on the stack.
func TestTokenDigestIsHMAC(t *testing.T) {
	t.Parallel()
	k, err := newKeyring([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	for _, token := range []string{"", "lk_live_x", strings.Repeat("t", 80), strings.Repeat("long", 200)} {
		got, want := k.tokenDigest("key_1", "prj_1", token), mac(k.tokens, "key_1", "prj_1", token)
		if !bytes.Equal(got[:], want) {
			t.Errorf("a token of %d bytes: got %x, want %x", len(token), got, want)
		}
		if other := k.tokenDigest(domain.KeyID("key_2"), "prj_1", token); other == got {
			t.Error("another key has the same digest")
		}
	}
}
