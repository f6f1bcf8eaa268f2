// Package holdfast is the root of the workspace and holds no code: its tests
// are the rules of the house, and the modules beside it are the system.
//
//   - proto: what crosses a process boundary
//   - pkg: mechanisms, and the session protocol that all services share
//   - services: one module for each service, and standalone, which runs them all
//   - tests: the whole system at once
package holdfast
