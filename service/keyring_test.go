package service

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"testing"
)

// TestMACIsHMAC holds the sum that is made by hand to HMAC-SHA-256 as the
// standard library has it, also for texts that outgrow the room on the stack.
func TestMACIsHMAC(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{7, 99}, sha256.Size/2)
	key := newMACKey(secret)
	for _, token := range []string{"", "lk_live_x", strings.Repeat("t", 80), strings.Repeat("long", 200)} {
		h := hmac.New(sha256.New, secret)
		h.Write([]byte("key_1\x00prj_1\x00" + token))
		if got, want := key.sum("key_1", "prj_1", token), h.Sum(nil); !bytes.Equal(got, want) {
			t.Errorf("a token of %d bytes: got %x, want %x", len(token), got, want)
		}
	}
}

// TestTokenDigestIsOfItsKey guarantees that a digest says nothing about any
// other key or project.
func TestTokenDigestIsOfItsKey(t *testing.T) {
	t.Parallel()
	k, err := newKeyring([32]byte{7})
	if err != nil {
		t.Fatal(err)
	}
	digest := k.tokenDigest("key_1", "prj_1", "lk_live_x")
	for _, other := range [][sha256.Size]byte{k.tokenDigest("key_2", "prj_1", "lk_live_x"), k.tokenDigest("key_1", "prj_2", "lk_live_x")} {
		if other == digest {
			t.Error("another key or project has the same digest")
		}
	}
}
