// Command measure verifies one key over HTTP and from memory, in turn, and prints both in
// microseconds and their ratio. make measure-sdk runs it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/latchkey-dev/latchkey/client"
	"github.com/latchkey-dev/latchkey/client/verify"
)

func main() {
	if err := measure(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func measure(ctx context.Context) error {
	presented := os.Getenv("PRESENTED")
	api, err := client.New(os.Getenv("LATCHKEY_URL"), client.APIKey(os.Getenv("LATCHKEY_API_KEY")))
	if err != nil {
		return err
	}
	latchkey, err := verify.New(verify.Options{})
	if err != nil {
		return err
	}
	defer latchkey.Close()
	ask := func() error {
		answer, err := api.VerifyKeyWithResponse(ctx, client.VerifyKeyRequest{Key: presented})
		if err == nil && !answer.JSON200.Valid {
			err = errors.New("the key is not valid")
		}
		return err
	}
	near := func() error {
		r, err := latchkey.Check(ctx, verify.Question{Token: presented})
		if err == nil && !r.Local {
			err = errors.New("the answer is not kept")
		}
		return err
	}
	for near() != nil {
		time.Sleep(100 * time.Millisecond)
	}
	var rounds [][2]float64
	for range 7 {
		over, err := timed(ask, 300)
		if err != nil {
			return err
		}
		kept, err := timed(near, 20_000)
		if err != nil {
			return err
		}
		rounds = append(rounds, [2]float64{over, kept})
	}
	slices.SortFunc(rounds, func(a, b [2]float64) int { return int(a[0]/a[1] - b[0]/b[1]) })
	r := rounds[3]
	fmt.Printf("%s, client | %.0f | %.1f | %.0f\n", runtime.Version(), r[0], r[1], r[0]/r[1])
	return nil
}

func timed(what func() error, count int) (microseconds float64, err error) {
	began := time.Now()
	for range count {
		if err := what(); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(began).Microseconds()) / float64(count), nil
}
