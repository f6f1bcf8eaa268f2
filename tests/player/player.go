// Package player is a simulated player: it talks to Holdfast from outside, as
// a game does, and remembers what it was told.
package player

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/holdfast-games/holdfast/proto/authapi"
	"github.com/holdfast-games/holdfast/proto/matchmakingapi"
	"github.com/holdfast-games/holdfast/proto/wire"
)

// Player is one player with one device.
type Player struct {
	Origin string
	Device string
	Login  authapi.Login
	Token  string

	// Retries is how often a call is tried again after a 5xx or a failed
	// connection, as every game does. Zero means never.
	Retries int
	// Retried counts the tries beyond the first, Statuses every answer.
	Retried  int
	Statuses map[int]int

	client *http.Client
}

// longest is how long one try of a call may take: longer than any long poll.
const longest = 40 * time.Second

// New returns a player that has not logged in.
func New(origin, device string) *Player {
	return &Player{Origin: origin, Device: device, Retries: 20, Statuses: map[int]int{}, client: &http.Client{Timeout: longest}}
}

// StatusError is an answer other than a success.
type StatusError struct {
	Status  int
	Problem wire.Problem
}

// Error shows the status and the code.
func (e *StatusError) Error() string {
	return fmt.Sprintf("%d %s: %s", e.Status, e.Problem.Code, e.Problem.Detail)
}

// Status returns the HTTP status of an error, 0 when it has none.
func Status(err error) int {
	if s, ok := errors.AsType[*StatusError](err); ok {
		return s.Status
	}
	return 0
}

// LogIn logs in as a guest.
func (p *Player) LogIn(ctx context.Context) error {
	body := authapi.GuestLoginRequest{DeviceID: p.Device}
	if err := p.Do(ctx, http.MethodPost, "/api/auth/guest", body, &p.Login); err != nil {
		return err
	}
	p.Token = p.Login.Token
	return nil
}

// ID is the player id, known after LogIn.
func (p *Player) ID() string { return p.Login.Player.ID }

// LogOut ends this login.
func (p *Player) LogOut(ctx context.Context) error {
	return p.Do(ctx, http.MethodPost, "/api/auth/logout", struct{}{}, nil)
}

// Queue joins a queue.
func (p *Player) Queue(ctx context.Context, queue string) (matchmakingapi.Enqueued, error) {
	var answer matchmakingapi.Enqueued
	err := p.Do(ctx, http.MethodPost, "/api/matchmaking/queue", matchmakingapi.EnqueueRequest{Queue: queue}, &answer)
	return answer, err
}

// LeaveQueues leaves all queues.
func (p *Player) LeaveQueues(ctx context.Context) error {
	return p.Do(ctx, http.MethodDelete, "/api/matchmaking/queue/all", nil, nil)
}

// LeaveMatch leaves a match.
func (p *Player) LeaveMatch(ctx context.Context, id string) error {
	return p.Do(ctx, http.MethodPost, "/api/matchmaking/matches/"+url.PathEscape(id)+"/leave", nil, nil)
}

// Match reads a match.
func (p *Player) Match(ctx context.Context, id string) (matchmakingapi.Match, error) {
	var m matchmakingapi.Match
	err := p.Do(ctx, http.MethodGet, "/api/matchmaking/matches/"+url.PathEscape(id), nil, &m)
	return m, err
}

// Session reads the snapshot.
func (p *Player) Session(ctx context.Context) (wire.Snapshot, error) {
	var s wire.Snapshot
	err := p.Do(ctx, http.MethodGet, "/api/session", nil, &s)
	return s, err
}

// SessionAfter waits for a snapshot newer than version.
func (p *Player) SessionAfter(ctx context.Context, version int64, wait time.Duration) (wire.Snapshot, error) {
	var s wire.Snapshot
	query := url.Values{
		"version": {strconv.FormatInt(version, 10)}, "wait": {strconv.Itoa(int(wait.Seconds()))},
	}
	err := p.Do(ctx, http.MethodGet, "/api/session?"+query.Encode(), nil, &s)
	return s, err
}

// EndSession leaves everything.
func (p *Player) EndSession(ctx context.Context) error {
	return p.Do(ctx, http.MethodDelete, "/api/session", nil, nil)
}

// Do makes one call, with the retries of a game client.
func (p *Player) Do(ctx context.Context, method, path string, in, out any) error {
	var body []byte
	if in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return fmt.Errorf("encode: %w", err)
		}
	}
	for try := 0; ; try++ {
		err := p.once(ctx, method, path, body, out)
		status := Status(err)
		if err == nil || (status > 0 && status < 500) || try >= p.Retries || ctx.Err() != nil {
			return err
		}
		p.Retried++
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-time.After(50 * time.Millisecond << min(try, 4)):
		}
	}
}

func (p *Player) once(ctx context.Context, method, path string, body []byte, out any) error {
	r, err := http.NewRequestWithContext(ctx, method, p.Origin+path, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if p.Token != "" {
		r.Header.Set("Authorization", "Bearer "+p.Token)
	}
	res, err := p.client.Do(r)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	p.Statuses[res.StatusCode]++
	if res.StatusCode >= 300 {
		e := &StatusError{Status: res.StatusCode}
		_ = json.Unmarshal(answer, &e.Problem)
		return fmt.Errorf("%s %s: %w", method, path, e)
	}
	if out == nil || len(answer) == 0 {
		return nil
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}
