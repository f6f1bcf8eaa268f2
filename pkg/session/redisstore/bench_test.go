package redisstore_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/session"
	"github.com/holdfast-games/holdfast/pkg/session/redisstore"
)

const benchPlayers = 1000

// bench runs work for one of many players at a time, from several goroutines.
func bench(b *testing.B, work func(b *testing.B, s *redisstore.Store, player string, n int64) error) {
	b.Helper()
	store, _, _ := newStore(b, session.Defaults())
	players := make([]string, benchPlayers)
	for i := range players {
		players[i] = "player-" + strconv.Itoa(i)
		if _, err := store.Ensure(b.Context(), claims(players[i]), facts(players[i]), false); err != nil {
			b.Fatal(err)
		}
	}
	var next atomic.Int64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := next.Add(1)
			if err := work(b, store, players[n%benchPlayers], n); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkEnsure(b *testing.B) {
	bench(b, func(b *testing.B, s *redisstore.Store, player string, _ int64) error {
		b.Helper()
		_, err := s.Ensure(b.Context(), claims(player), nil, true)
		return err
	})
}

func BenchmarkEnsureAbsent(b *testing.B) {
	bench(b, func(b *testing.B, s *redisstore.Store, _ string, n int64) error {
		b.Helper()
		player := "new-" + strconv.FormatInt(n, 10)
		_, err := s.Ensure(b.Context(), claims(player), facts(player), true)
		return err
	})
}

func BenchmarkBegin(b *testing.B) {
	bench(b, func(b *testing.B, s *redisstore.Store, player string, _ int64) error {
		b.Helper()
		_, _, err := s.Begin(b.Context(), claims(player), nil)
		return err
	})
}

// BenchmarkConnectedDisconnected is both events of one connection.
func BenchmarkConnectedDisconnected(b *testing.B) {
	bench(b, func(b *testing.B, s *redisstore.Store, player string, n int64) error {
		b.Helper()
		id := session.NewConnectionID(n+1e13, n, "10.0.0.1:7")
		if _, err := s.Connected(b.Context(), player, id, "emqx@a", nil); err != nil {
			return err
		}
		_, err := s.Disconnected(b.Context(), player, id, "tcp_closed")
		return err
	})
}

// BenchmarkReserveConfirm is a ticket from its reservation to its release.
func BenchmarkReserveConfirm(b *testing.B) {
	bench(b, func(b *testing.B, s *redisstore.Store, player string, n int64) error {
		b.Helper()
		r := session.Reservation{Kind: session.Ticket, Slot: fmt.Sprint("q", n), ID: "t", Most: session.MaxTickets, Copy: "{}"}
		h, err := s.Reserve(b.Context(), claims(player), nil, r)
		if err != nil {
			return err
		}
		ref := session.PlaceRef{Player: player, SID: h.Record.SID, Kind: r.Kind, Slot: r.Slot, ID: r.ID}
		if _, err := s.Confirm(b.Context(), ref, 1, "{}", "", session.Push{Type: "queued", Body: "{}"}); err != nil {
			return err
		}
		_, err = s.Release(b.Context(), ref, session.Push{})
		return err
	})
}
