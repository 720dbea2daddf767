// This program shows what a third-party backend and a person's tool do with
// Latchkey, with the package client. The same program is here in three other
// languages.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"

	"github.com/oapi-codegen/nullable"

	"github.com/latchkey-dev/latchkey/client"
)

func main() {
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	url := os.Getenv("LATCHKEY_URL")
	backend, err := client.New(url, client.APIKey(os.Getenv("LATCHKEY_API_KEY")))
	if err != nil {
		return err
	}
	person, err := client.New(url, client.Password(os.Getenv("LATCHKEY_EMAIL"), os.Getenv("LATCHKEY_PASSWORD")))
	if err != nil {
		return err
	}

	// A key knows its project.
	current, err := backend.GetCurrentProjectWithResponse(ctx)
	if err != nil {
		return err
	}
	project := current.JSON200
	fmt.Printf("The key belongs to the project %s.\n", project.Name)

	// A person creates keys. Each token is there this once.
	me, err := person.GetMeWithResponse(ctx)
	if err != nil {
		return err
	}
	var created *client.CreatedKey
	for _, name := range []string{"nightly-export", "invoices", "customer-portal"} {
		answer, err := person.CreateKeyWithResponse(ctx, project.ID, nil, client.CreateKeyRequest{
			Name: name, Scopes: []client.Scope{"documents:read"}, ExternalID: nullable.NewNullableWithValue("customer-4711"),
		})
		if err != nil {
			return err
		}
		created = answer.JSON201
	}
	fmt.Printf("%s created the key %s.\n", me.JSON200.Name, created.Key.Name)

	// A service asks whether a token that was presented to it is good.
	for _, scope := range []client.Scope{"documents:read", "documents:write"} {
		answer, err := backend.VerifyKeyWithResponse(ctx, client.VerifyKeyRequest{Key: created.Token, Scopes: []client.Scope{scope}})
		if err != nil {
			return err
		}
		fmt.Printf("Asked for %s, the answer is %s.\n", scope, answer.JSON200.Code)
	}

	// A list comes in pages, which the sequence asks for as it goes.
	var names []string
	for key, err := range person.Keys(ctx, project.ID, client.ListKeysParams{ExternalID: new("customer-4711"), Limit: new(2)}) {
		if err != nil {
			return err
		}
		names = append(names, key.Name)
	}
	fmt.Printf("Page by page, customer-4711 has the keys %s.\n", strings.Join(names, ", "))

	// Refusals are typed errors.
	_, err = person.GetKeyWithResponse(ctx, project.ID, "key_00000000000000000000000000")
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		fmt.Printf("A key that does not exist: %d %s.\n", refusal.Status, refusal.Code)
	}
	_, err = person.CreateKeyWithResponse(ctx, project.ID, nil, client.CreateKeyRequest{})
	if refusal, ok := errors.AsType[*client.Error](err); ok {
		fmt.Printf("A key without a name: %d %s at %s.\n", refusal.Status, refusal.Code, refusal.Errors[0].Pointer)
	}

	// A rotation whose answer was lost is asked for again under the same Idempotency-Key. The client does this by itself;
	// a name of one's own makes it work across runs of the program.
	var tokens []string
	again := &client.RotateKeyParams{IdempotencyKey: new(rand.Text())}
	for range 2 {
		answer, err := person.RotateKeyWithResponse(ctx, project.ID, created.Key.ID, again,
			client.RotateKeyRequest{GraceSeconds: new(3600)})
		if err != nil {
			return err
		}
		tokens = append(tokens, answer.JSON200.Token)
	}
	if tokens[0] == tokens[1] && tokens[0] != created.Token {
		fmt.Println("Rotated twice with one Idempotency-Key, the key has one new token.")
	}
	return nil
}
