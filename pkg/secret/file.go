package secret

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// FileOrCreate returns the secret in a file, which it makes with 32 random
// bytes in hex when there is none. Several processes may call it at once:
// one of them makes the file, whole from the start, and all read the same.
func FileOrCreate(path string) (Secret, error) {
	b, err := os.ReadFile(path)
	if err == nil {
		s := Secret(strings.TrimSpace(string(b)))
		if len(s) < 32 {
			return "", fmt.Errorf("secret file %s: shorter than 32 characters", path)
		}
		return s, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read secret file: %w", err)
	}
	raw := make([]byte, 32)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	if err := CreateFile(path, []byte(hex.EncodeToString(raw)+"\n")); err != nil {
		return "", err
	}
	return FileOrCreate(path)
}

// CreateFile makes a file that only its owner may read, with its content from
// the first moment, unless it exists; then it does nothing.
func CreateFile(path string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder of %s: %w", path, err)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return fmt.Errorf("create %s: %w", path, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("create %s: %w", path, err)
	}
	return nil
}
