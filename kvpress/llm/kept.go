package llm

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// keptFrom is the number of tokens from which a prefill is worth a file.
const keptFrom = 1024

// kept is where the prefill of a context lies, or would lie: in the folder that the options named, under a hash of all
// that makes it what it is. It is empty for what is not kept: short contexts, and records that are not Full.
func (m *LLM) kept(ids []int, r Record) string {
	if m.prefills == "" || len(ids) < keptFrom || !r.Hidden {
		return ""
	}
	sum := sha256.New()
	fmt.Fprintln(sum, sessionFormat, m.fingerprint, m.Backend())
	for _, id := range ids {
		sum.Write(binary.LittleEndian.AppendUint32(nil, uint32(id)))
	}
	return filepath.Join(m.prefills, hex.EncodeToString(sum.Sum(nil)[:16])+".safetensors")
}

// prefillKept takes a prefill from its file, or reads the context and keeps what was read there. A folder that may not be
// written to is only read from.
func (m *LLM) prefillKept(ctx context.Context, ids []int, path string) (*Session, error) {
	s, err := m.LoadSession(path)
	switch {
	case err == nil:
		return s, nil
	case !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("a prefill that was kept cannot be used: %w: remove that file, and the text is read again", err)
	}
	if s, err = m.prefillAnew(ctx, ids, Full()); err != nil {
		return s, err
	}
	if err = os.MkdirAll(m.prefills, 0o700); err == nil {
		err = s.Save(path)
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return s, fmt.Errorf("keeping the prefill: %w", err)
	}
	return s, nil
}
