package wire

import (
	"encoding/json"
	"fmt"
)

// Attribute is one matchmaking attribute: the values a player offers for it.
// On the wire a single value may stand alone ("1.2.0") or in an array
// (["eu", "us"]); it is written in the shorter form.
type Attribute []string

// MarshalJSON writes one value as a string, any other number as an array.
func (a Attribute) MarshalJSON() ([]byte, error) {
	if len(a) == 1 {
		return marshalAttribute(a[0])
	}
	return marshalAttribute(List[string](a))
}

func marshalAttribute(value any) ([]byte, error) {
	data, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("wire: attribute: %w", err)
	}
	return data, nil
}

// UnmarshalJSON reads a string or an array of strings.
func (a *Attribute) UnmarshalJSON(data []byte) error {
	var one string
	if err := json.Unmarshal(data, &one); err == nil && string(data) != "null" {
		*a = Attribute{one}
		return nil
	}
	var many List[string]
	if err := json.Unmarshal(data, &many); err != nil {
		return fmt.Errorf("wire: attribute is neither a string nor an array of strings: %w", err)
	}
	*a = Attribute(many)
	return nil
}
