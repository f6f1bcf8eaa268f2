// Package proto is the root of what crosses a process boundary: the OpenAPI
// documents (openapi), the AsyncAPI document (asyncapi.yaml), the shapes they
// share (wire), the MQTT topic grammar (topic), and one generated Go client a
// service (authapi, sessionapi, matchmakingapi).
//
// go generate in this directory writes the clients here and the server
// interfaces into services/*/internal/api. The tool's version is pinned in
// tools/go.mod.
package proto

//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/auth-client.yaml openapi/auth.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/session-client.yaml openapi/session.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/matchmaking-client.yaml openapi/matchmaking.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/auth-server.yaml openapi/auth.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/session-server.yaml openapi/session.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/matchmaking-server.yaml openapi/matchmaking.yaml
//go:generate env GOWORK=off go tool -modfile=../tools/go.mod oapi-codegen -config codegen/emqx-hook-server.yaml openapi/emqx-hook.yaml
