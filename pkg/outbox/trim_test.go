package outbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

// read reads n entries of an outbox for a group and acknowledges the first ack.
func (s *site) read(t *testing.T, key, group string, n, ack int) {
	t.Helper()
	streams, err := s.client.XReadGroup(t.Context(), &redis.XReadGroupArgs{
		Group: group, Consumer: "reader", Streams: []string{key, ">"}, Count: int64(n), Block: -1,
	}).Result()
	if err != nil || len(streams[0].Messages) != n {
		t.Fatalf("read for %s: %v, %v", group, streams, err)
	}
	for _, m := range streams[0].Messages[:ack] {
		if err := s.client.XAck(t.Context(), key, group, m.ID).Err(); err != nil {
			t.Fatalf("acknowledge: %v", err)
		}
	}
}

func (s *site) versions(t *testing.T, key string) []any {
	t.Helper()
	messages, err := s.client.XRange(t.Context(), key, "-", "+").Result()
	if err != nil {
		t.Fatalf("read %s: %v", key, err)
	}
	var versions []any
	for _, m := range messages {
		versions = append(versions, m.Values["v"])
	}
	return versions
}

func (s *site) trim(t *testing.T) {
	t.Helper()
	if err := outbox.Trim(t.Context(), s.client, s.shards, time.Now()); err != nil {
		t.Fatalf("trim: %v", err)
	}
}

func TestTrimKeepsWhatAnyGroupNeeds(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		s.trim(t) // nothing there
		key := outbox.Key(s.shards.Of("ann"))
		s.append(t, "ann", 0, 10)
		s.read(t, key, outbox.Relay, 10, 10)
		s.read(t, key, outbox.Broker, 6, 3)
		s.trim(t)
		if got := s.versions(t, key); len(got) != 10 {
			t.Errorf("a group has read nothing, and %v are left of 10", got)
		}
		s.read(t, key, outbox.Matchmaking, 8, 8)
		s.trim(t)
		if got := s.versions(t, key); len(got) != 7 || got[0] != "3" {
			t.Errorf("the broker group still has 3 and later to do, and %v are left", got)
		}
		s.trim(t)
		if got := s.versions(t, key); len(got) != 7 {
			t.Errorf("after another trim %v are left", got)
		}
	})
}

// TestGroupsThatStartLateMissNothing: services start in any order, and the
// first one must not trim away what the others have not seen.
func TestGroupsThatStartLateMissNothing(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		var early, late inbox
		run(t, s.reader(outbox.Relay, early.handle))
		testkit.Eventually(t, patience, func() bool {
			n, err := s.client.Exists(t.Context(), outbox.Key(s.shards.Of("ann"))).Result()
			return err == nil && n == 1
		}, "the reader to be there before the first event")
		s.append(t, "ann", 0, 5)
		early.await(t, "ann", 0, 5)
		testkit.Eventually(t, patience, func() bool { return s.pending(t, outbox.Relay) == 0 }, "acknowledgements")
		s.trim(t)
		run(t, s.reader(outbox.Matchmaking, late.handle))
		late.await(t, "ann", 0, 5)
	})
}

// probes returns a player of each shard.
func (s *site) probes() map[int]string {
	probes := map[int]string{}
	for i := 0; len(probes) < s.shards.N(); i++ {
		probe := fmt.Sprint("probe-", i)
		probes[s.shards.Of(probe)] = probe
	}
	return probes
}

func TestTailSeesWhatIsNew(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		players := crowd(10)
		for _, p := range players[:5] {
			s.append(t, p, 0, 3) // half of the outboxes are not there yet
		}
		var box inbox
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() {
			over <- outbox.Tail(ctx, s.client, s.shards, slog.New(slog.DiscardHandler), func(e outbox.Event) {
				_ = box.handle(ctx, e)
			})
		}()
		t.Cleanup(func() {
			cancel()
			if err := <-over; err != nil {
				t.Errorf("the tail ended with %v", err)
			}
		})
		for shard, probe := range s.probes() { // it says nothing when it is ready
			v := 0
			testkit.Eventually(t, patience, func() bool {
				s.append(t, probe, v, v+1)
				v++
				return len(box.of(probe)) > 0
			}, fmt.Sprint("the tail of shard ", shard))
		}
		for _, p := range players {
			s.append(t, p, 3, 6)
		}
		for _, p := range players {
			box.await(t, p, 3, 6)
		}
	})
}
