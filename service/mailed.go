package service

import (
	"encoding/base64"
	"io"
)

// purpose is the use of a mailed token; a token for another use proves nothing.
type purpose string

const (
	forInvitation purpose = "invitation"
	forAddress    purpose = "verify-address"
	forPassword   purpose = "reset-password"
)

// mailedToken is a token that is good once, and what is stored of it.
type mailedToken struct {
	text   string
	digest []byte
}

const mailedTokenBytes = 32

func (a *App) newMailedToken(p purpose, random io.Reader) (mailedToken, error) {
	secret := make([]byte, mailedTokenBytes)
	if _, err := io.ReadFull(random, secret); err != nil {
		return mailedToken{}, err
	}
	text := base64.RawURLEncoding.EncodeToString(secret)
	return mailedToken{text, a.keyring.mailed.sum(string(p), text)}, nil
}

// mailedTokenDigest returns what is stored of a token, and false for a text
// that cannot be one.
func (a *App) mailedTokenDigest(p purpose, text string) ([]byte, bool) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != mailedTokenBytes {
		return nil, false
	}
	return a.keyring.mailed.sum(string(p), base64.RawURLEncoding.EncodeToString(raw)), true
}

// derivedMailedToken is the token of an email that has an id. Only the master key
// gives it, so neither it nor what it is drawn from has to be stored.
func (a *App) derivedMailedToken(p purpose, id string) mailedToken {
	text := base64.RawURLEncoding.EncodeToString(a.keyring.outbox.sum("token", string(p), id))
	return mailedToken{text, a.keyring.mailed.sum(string(p), text)}
}
