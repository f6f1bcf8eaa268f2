package proto

import _ "embed"

//go:embed asyncapi.yaml
var asyncAPI string

// AsyncAPI returns the AsyncAPI document: what crosses MQTT. It refers to
// openapi/wire.yaml, which package openapi carries.
func AsyncAPI() []byte { return []byte(asyncAPI) }
