//go:build !linux

package journal

import "os"

func isLocal(*os.File) error { return ErrSystem }

func lock(*os.File) error { return ErrSystem }

func placeOf(*os.File) (string, error) { return "", ErrSystem }

func allocate(*os.File, int64, int64) error { return ErrSystem }

func mapped(*os.File, int64, int) ([]byte, error) { return nil, ErrSystem }

func unmap([]byte) {}

func unlock(*os.File) error { return nil }
