package proto_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/holdfast-games/holdfast/proto"
	"github.com/holdfast-games/holdfast/proto/internal/wiretest"
	"github.com/holdfast-games/holdfast/proto/openapi"
	"github.com/holdfast-games/holdfast/proto/topic"
	"github.com/holdfast-games/holdfast/proto/wire"
)

const (
	asyncFile = "asyncapi.yaml"
	wireFile  = "openapi/wire.yaml"
)

// object is a YAML mapping, read the way JSON is.
type object = map[string]any

// documents reads the AsyncAPI document and the one it refers to.
func documents(t *testing.T) map[string]object {
	t.Helper()
	wireDocument, err := openapi.Read("wire.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return map[string]object{asyncFile: parse(t, proto.AsyncAPI()), wireFile: parse(t, wireDocument)}
}

func parse(t *testing.T, document []byte) object {
	t.Helper()
	var fromYAML any
	if err := yaml.Unmarshal(document, &fromYAML); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var parsed object
	if err := json.Unmarshal(asJSON, &parsed); err != nil {
		t.Fatal(err)
	}
	return parsed
}

// resolve follows reference, found in the named file, to what it stands for and
// the file that has it.
func resolve(t *testing.T, docs map[string]object, file, reference string) (found object, in string) {
	t.Helper()
	target, pointer, ok := strings.Cut(reference, "#/")
	if target != "" {
		file = target
	}
	found = docs[file]
	for step := range strings.SplitSeq(pointer, "/") {
		next, isObject := found[step].(object)
		if !ok || !isObject {
			t.Fatalf("%s leads nowhere from %s", reference, file)
		}
		found = next
	}
	return found, file
}

func section(t *testing.T, parent object, name string) object {
	t.Helper()
	child, ok := parent[name].(object)
	if !ok {
		t.Fatalf("the AsyncAPI document has no %q here, but %v", name, slices.Collect(maps.Keys(parent)))
	}
	return child
}

func TestAsyncAPIReferencesLeadSomewhere(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	count := 0
	for file, document := range docs {
		each(document, func(reference string) {
			resolve(t, docs, file, reference)
			count++
		})
	}
	if count < 30 {
		t.Errorf("only %d references were seen", count)
	}
}

// each calls visit with every reference under node.
func each(node any, visit func(reference string)) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			each(child, visit)
		}
	case object:
		if reference, ok := node["$ref"].(string); ok {
			visit(reference)
		}
		for _, child := range node {
			each(child, visit)
		}
	}
}

func TestAsyncAPIChannelsAreTheTopics(t *testing.T) {
	t.Parallel()
	document := documents(t)[asyncFile]
	var addresses, topics []string
	for _, channel := range section(t, document, "channels") {
		addresses = append(addresses, channel.(object)["address"].(string))
	}
	for _, kind := range []topic.Kind{topic.KindPlayerSession, topic.KindPlayerMatchmaking, topic.KindPlayerNotifications} {
		topics = append(topics, kind.Template())
	}
	slices.Sort(addresses)
	slices.Sort(topics)
	if !slices.Equal(addresses, topics) {
		t.Errorf("the channels are %v, the topics %v", addresses, topics)
	}
	for address, build := range map[string]func(string) (string, error){
		"player/{id}/session":       topic.PlayerSession,
		"player/{id}/matchmaking":   topic.PlayerMatchmaking,
		"player/{id}/notifications": topic.PlayerNotifications,
	} {
		got, err := build("p1")
		if want := strings.ReplaceAll(address, "{id}", "p1"); err != nil || got != want {
			t.Errorf("the constructor of %s builds %q, %v", address, got, err)
		}
	}
}

func TestAsyncAPIOperationsSendEveryChannelOnce(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	sent := map[string]int{}
	for name, operation := range section(t, docs[asyncFile], "operations") {
		operation := operation.(object)
		channel, _ := resolve(t, docs, asyncFile, section(t, operation, "channel")["$ref"].(string))
		sent[channel["address"].(string)]++
		mqtt := section(t, section(t, operation, "bindings"), "mqtt")
		if operation["action"] != "send" || mqtt["qos"] != 1.0 || mqtt["retain"] != false {
			t.Errorf("%s: action %v, bindings %v; want send, QoS 1, not retained", name, operation["action"], mqtt)
		}
	}
	for _, channel := range section(t, docs[asyncFile], "channels") {
		if address := channel.(object)["address"].(string); sent[address] != 1 {
			t.Errorf("%s is sent by %d operations, want 1", address, sent[address])
		}
	}
}

// payloads returns, for each channel, the full and the least payload that the
// wire types can make.
func payloads() map[string][2]any {
	return map[string][2]any{
		"playerSession": {
			wiretest.Snapshot().Push(),
			wire.Snapshot{Presence: wire.PresenceDetached, Player: wire.Player{ID: "p1", DisplayName: "A"}}.Push(),
		},
		"playerMatchmaking":   {wiretest.MatchmakingPush(), wire.MatchmakingPush{Type: wire.MatchmakingQueued}},
		"playerNotifications": {wiretest.Notification(), wire.Notification{Type: wire.NotificationKicked}},
	}
}

// payloadSchema returns the reference of the schema of the one message of a
// channel.
func payloadSchema(t *testing.T, docs map[string]object, channel string) string {
	t.Helper()
	messages := section(t, section(t, section(t, docs[asyncFile], "channels"), channel), "messages")
	if len(messages) != 1 {
		t.Fatalf("%s has %d messages, want 1", channel, len(messages))
	}
	for name := range messages {
		message, _ := resolve(t, docs, asyncFile, section(t, messages, name)["$ref"].(string))
		return section(t, message, "payload")["$ref"].(string)
	}
	return ""
}

func TestPayloadsValidate(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft7)
	compiler.AssertFormat()
	for file, document := range docs {
		if err := compiler.AddResource("https://holdfast.test/"+file, document); err != nil {
			t.Fatal(err)
		}
	}
	for channel, examples := range payloads() {
		schema, err := compiler.Compile("https://holdfast.test/" + asyncFile + payloadSchema(t, docs, channel))
		if err != nil {
			t.Fatalf("%s: %v", channel, err)
		}
		for _, payload := range examples {
			if err := schema.Validate(toJSON(t, payload)); err != nil {
				t.Errorf("%s: %+v: %v", channel, payload, err)
			}
		}
		if err := schema.Validate(object{"type": "made_up", "presence": "made_up"}); err == nil {
			t.Errorf("%s: the schema lets anything through", channel)
		}
	}
}

func toJSON(t *testing.T, v any) any {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return decoded
}

// TestSchemasNameEveryField: the full payload has exactly the properties of its
// schema, the least one exactly those required, at every depth.
func TestSchemasNameEveryField(t *testing.T) {
	t.Parallel()
	docs := documents(t)
	for channel, examples := range payloads() {
		fields := fieldCheck{t, docs}
		reference := object{"$ref": payloadSchema(t, docs, channel)}
		fields.compare(channel, asyncFile, reference, toJSON(t, examples[0]), true)
		fields.compare(channel, asyncFile, reference, toJSON(t, examples[1]), false)
	}
	problem := object{"$ref": "#/components/schemas/Problem"}
	fields := fieldCheck{t, docs}
	fields.compare("problem", wireFile, problem, toJSON(t, wiretest.Problem()), true)
	fields.compare("problem", wireFile, problem, toJSON(t, wire.NewProblem(wire.CodeNotFound, "")), false)
}

type fieldCheck struct {
	t    *testing.T
	docs map[string]object
}

func (c fieldCheck) compare(where, file string, schema object, value any, full bool) {
	c.t.Helper()
	if reference, ok := schema["$ref"].(string); ok {
		schema, file = resolve(c.t, c.docs, file, reference)
	}
	switch value := value.(type) {
	case []any:
		for _, element := range value {
			c.compare(where+"[]", file, schema["items"].(object), element, full)
		}
	case object:
		properties, required := c.fields(file, schema)
		want := slices.Sorted(maps.Keys(properties))
		if !full {
			want = slices.Sorted(slices.Values(required))
		}
		if got := slices.Sorted(maps.Keys(value)); !slices.Equal(got, want) {
			c.t.Errorf("%s has %v, the schema %v", where, got, want)
		}
		for name, child := range value {
			if property, ok := properties[name]; ok {
				c.compare(where+"."+name, property.file, property.schema, child, full)
			}
		}
	}
}

// property is one property's schema and the file it stands in.
type property struct {
	schema object
	file   string
}

// fields gathers the properties and the required names of an object schema and
// of all parts of its allOf.
func (c fieldCheck) fields(file string, schema object) (properties map[string]property, required []string) {
	c.t.Helper()
	if reference, ok := schema["$ref"].(string); ok {
		schema, file = resolve(c.t, c.docs, file, reference)
	}
	properties = map[string]property{}
	own, _ := schema["properties"].(object)
	for name, child := range own {
		properties[name] = property{child.(object), file}
	}
	names, _ := schema["required"].([]any)
	for _, name := range names {
		required = append(required, name.(string))
	}
	parts, _ := schema["allOf"].([]any)
	for _, part := range parts {
		more, moreRequired := c.fields(file, part.(object))
		maps.Copy(properties, more)
		required = append(required, moreRequired...)
	}
	return properties, required
}

func TestAsyncAPIEnumsAgreeWithPackageWire(t *testing.T) {
	t.Parallel()
	schemas := section(t, section(t, documents(t)[asyncFile], "components"), "schemas")
	for _, name := range []string{"MatchmakingType", "NotificationType"} {
		var documented []string
		for _, value := range section(t, schemas, name)["enum"].([]any) {
			documented = append(documented, value.(string))
		}
		if constants := wiretest.Constants(t, name); !slices.Equal(documented, constants) {
			t.Errorf("%s is documented as %v, the constants are %v", name, documented, constants)
		}
	}
}
