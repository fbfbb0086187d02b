package body

import (
	"fmt"
	"mime"
	"strings"

	"golang.org/x/text/encoding/htmlindex"
)

// UTF8 returns a body in UTF-8, from the charset that its Content-Type tells: UTF-8 where it tells none, or one that is not known.
func UTF8(content []byte, contentType string) ([]byte, error) {
	_, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	if err != nil || charset == "" || strings.EqualFold(charset, "utf-8") {
		return content, nil
	}
	encoding, err := htmlindex.Get(charset)
	if err != nil {
		return content, nil
	}
	out, err := encoding.NewDecoder().Bytes(content)
	if err != nil {
		return nil, fmt.Errorf("read as %s: %w", charset, err)
	}
	return out, nil
}
