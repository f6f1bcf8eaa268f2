// Package wire holds the Go form of everything Holdfast says to the outside:
// problem documents, the session snapshot and the MQTT payloads. JSON names
// are camelCase and part of the public contract; the documents under
// proto/openapi and proto/asyncapi.yaml describe the same shapes, and tests
// hold the two together.
//
// Readers must ignore fields and string values they do not know: both are
// added without a new version.
package wire

import (
	"encoding/json"
	"fmt"
)

// List is a slice that is always a JSON array: nil and empty are both written
// as [], and both are read back as nil. A plain []T can be assigned to it.
type List[T any] []T

// MarshalJSON writes the elements, or [] when there are none.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if len(l) == 0 {
		return []byte("[]"), nil
	}
	data, err := json.Marshal([]T(l))
	if err != nil {
		return nil, fmt.Errorf("wire: list: %w", err)
	}
	return data, nil
}

// UnmarshalJSON reads an array or null; without elements the list is nil.
func (l *List[T]) UnmarshalJSON(data []byte) error {
	var elements []T
	if err := json.Unmarshal(data, &elements); err != nil {
		return fmt.Errorf("wire: list: %w", err)
	}
	if len(elements) == 0 {
		elements = nil
	}
	*l = elements
	return nil
}
