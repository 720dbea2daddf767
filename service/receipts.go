package service

import (
	"crypto/hmac"
	"crypto/rand"
	"encoding/base64"

	"github.com/latchkey-dev/latchkey/domain"
)

// receiptMAC is how many bytes of a sum are at the end of a receipt.
const receiptMAC = 16

// sealReceipt returns a new receipt as text that only this instance can make.
func (k *keyring) sealReceipt(r domain.Receipt) string {
	rand.Read(r.Nonce[:]) // never fails
	b := r.Append(make([]byte, 0, 128))
	sum := k.receipts.mac(string(b))
	return base64.RawURLEncoding.EncodeToString(append(b, sum[:receiptMAC]...))
}

// readReceipt reads what sealReceipt returns, and reports whether it does.
func (k *keyring) readReceipt(text string) (domain.Receipt, bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < receiptMAC {
		return domain.Receipt{}, false
	}
	b, end := b[:len(b)-receiptMAC], b[len(b)-receiptMAC:]
	if sum := k.receipts.mac(string(b)); !hmac.Equal(sum[:receiptMAC], end) {
		return domain.Receipt{}, false
	}
	return domain.ParseReceipt(b)
}
