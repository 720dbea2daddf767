package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"
)

// file is a file of an archive.
type file struct {
	from string // where it is
	name string // its path in the archive
	mode int64
}

// pack writes the archive of a binary, with what an operator needs beside it: a ZIP
// for Windows, a compressed tar for others. It returns the name of the archive.
func pack(out, name, binary string, windows bool, at time.Time) (string, error) {
	files := []file{{binary, path.Join(name, filepath.Base(binary)), 0o755}}
	for _, also := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy"} {
		paths, err := tracked(also)
		if err != nil {
			return "", err
		}
		for _, from := range paths {
			files = append(files, file{from, path.Join(name, from), 0o644})
		}
	}
	write, archive := writeTar, name+".tar.gz"
	if windows {
		write, archive = writeZip, name+".zip"
	}
	to, err := os.Create(filepath.Join(out, archive))
	if err != nil {
		return "", err
	}
	return archive, errors.Join(write(to, files, at), to.Close())
}

func writeTar(to io.Writer, files []file, at time.Time) error {
	compressed, err := gzip.NewWriterLevel(to, gzip.BestCompression)
	if err != nil {
		return err
	}
	w := tar.NewWriter(compressed)
	for _, f := range files {
		err := f.copy(func(size int64) (io.Writer, error) {
			return w, w.WriteHeader(&tar.Header{
				Name:    f.name,
				Mode:    f.mode,
				Size:    size,
				ModTime: at,
				Format:  tar.FormatPAX,
			})
		})
		if err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), compressed.Close())
}

func writeZip(to io.Writer, files []file, at time.Time) error {
	w := zip.NewWriter(to)
	for _, f := range files {
		header := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: at}
		header.SetMode(os.FileMode(f.mode))
		if err := f.copy(func(int64) (io.Writer, error) { return w.CreateHeader(header) }); err != nil {
			return err
		}
	}
	return w.Close()
}

// copy copies the content of the file to where begin says.
func (f file) copy(begin func(size int64) (io.Writer, error)) error {
	from, err := os.Open(f.from)
	if err != nil {
		return err
	}
	defer from.Close()
	info, err := from.Stat()
	if err != nil {
		return err
	}
	to, err := begin(info.Size())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, from)
	return err
}
