package console

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/latchkey-dev/latchkey/domain"
)

// static holds the files that pages load. Their URLs contain a digest of all of
// them, so browsers may keep them forever.
type static struct {
	version string
	files   map[string][]byte
}

func newStatic() (static, error) {
	s := static{files: map[string][]byte{}}
	digest := sha256.New()
	err := fs.WalkDir(staticFiles, "static", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := staticFiles.ReadFile(name)
		s.files[path.Base(name)] = content
		digest.Write(content)
		return err
	})
	s.version = hex.EncodeToString(digest.Sum(nil)[:8])
	return s, err
}

func (s static) url(file string) string { return "/console/static/" + s.version + "/" + file }

func (s static) serve(ec echo.Context) error {
	content, ok := s.files[ec.Param("file")]
	if !ok || ec.Param("version") != s.version {
		return domain.NotFound()
	}
	ec.Response().Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(ec.Response(), ec.Request(), ec.Param("file"), time.Time{}, bytes.NewReader(content))
	return nil
}
