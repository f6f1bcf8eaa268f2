package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/holdfast-games/holdfast/pkg/outbox"
	"github.com/holdfast-games/holdfast/pkg/testkit"
)

func TestReaderDeliversOnceInOrder(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		players := crowd(20)
		for _, p := range players {
			s.append(t, p, 0, 5) // before the reader
		}
		boxes := map[string]*inbox{}
		for _, group := range outbox.Groups() {
			boxes[group] = &inbox{}
			run(t, s.calmReader(group, boxes[group].handle))
		}
		for _, p := range players {
			s.append(t, p, 5, 10)
		}
		for group, box := range boxes {
			for _, p := range players {
				box.await(t, p, 0, 10)
				if got := box.of(p); len(got) != 10 {
					t.Errorf("%s got %v for %s", group, got, p)
				}
			}
			testkit.Eventually(t, patience, func() bool { return s.pending(t, group) == 0 }, "acknowledgements of "+group)
		}
	})
}

func TestReaderGivesWholeEvents(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		run(t, s.reader(outbox.Relay, box.handle))
		s.append(t, "ann", 7, 8)
		box.await(t, "ann", 7, 8)
		e := box.events[0]
		if e.Type != "test.event" || e.Player != "ann" || e.SID != "sid-ann" || e.V != 7 || e.Prev != 6 || e.At != 1007 ||
			e.Shard != s.shards.Of("ann") || e.ID == "" || len(e.Fields) != 3 {
			t.Errorf("got %+v", e)
		}
		if got := e.Places("ticket"); len(got) != 1 || got["ranked"] != "t1" {
			t.Errorf("tickets: got %v", got)
		}
		if got := e.Places("lobby"); len(got) != 1 || got[""] != "AB12CD" {
			t.Errorf("lobby: got %v", got)
		}
		if got := e.Dropped("ticket"); len(got) != 1 || got["casual"] != "t2" {
			t.Errorf("dropped: got %v", got)
		}
	})
}

var errHandler = errors.New("the handler failed")

func TestReaderRepeatsWhatFailed(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		var failures atomic.Int32
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if e.Player == "ann" && e.V == 2 && failures.Add(1) <= 2 {
				return errHandler
			}
			return box.handle(ctx, e)
		}))
		s.append(t, "ann", 0, 5)
		s.append(t, "bob", 0, 5)
		box.await(t, "ann", 0, 5) // in order: 3 and 4 waited for 2
		box.await(t, "bob", 0, 5)
		testkit.Eventually(t, patience, func() bool { return s.pending(t, outbox.Relay) == 0 }, "acknowledgements")
	})
}

// A player whose event fails again and again holds up nobody else, and its own
// later events wait.
func TestReaderHoldsUpOnlyThePlayerWhoseEventFails(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		var mended atomic.Bool
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if e.Player == "ann" && e.V == 0 && !mended.Load() {
				return errHandler
			}
			return box.handle(ctx, e)
		}))
		others := s.neighbours("ann", 3)
		s.append(t, "ann", 0, 1)
		for _, p := range others {
			s.append(t, p, 0, 300) // more than a batch, behind ann's on the same shard
		}
		s.append(t, "ann", 1, 3)
		for _, p := range others {
			box.await(t, p, 0, 300)
		}
		if got := box.of("ann"); len(got) != 0 {
			t.Errorf("ann's later events overtook the one that fails: %v", got)
		}
		mended.Store(true)
		box.await(t, "ann", 0, 3)
		testkit.Eventually(t, patience, func() bool { return s.pending(t, outbox.Relay) == 0 }, "acknowledgements")
	})
}

func TestReaderSurvivesAPanic(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		var panicked atomic.Bool
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if panicked.CompareAndSwap(false, true) {
				panic("a bug")
			}
			return box.handle(ctx, e)
		}))
		s.append(t, "ann", 0, 3)
		box.await(t, "ann", 0, 3)
	})
}

// One event that no retry mends, and that nobody dropped, is given up after a
// while.
func TestReaderGivesUpInTheEnd(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		old := time.Now().Add(-outbox.GiveUpAfter - time.Minute).UnixMilli()
		err := s.client.XAdd(t.Context(), &redis.XAddArgs{
			Stream: outbox.Key(s.shards.Of("ann")), ID: fmt.Sprintf("%d-0", old), Values: []string{"type", "test.event", "player", "ann", "v", "0"},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
		var box inbox
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if e.V == 0 {
				return errHandler
			}
			return box.handle(ctx, e)
		}))
		s.append(t, "ann", 1, 2)
		box.await(t, "ann", 1, 2)
	})
}

func TestReaderDropsWhatNoRetryCanMend(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if e.V == 1 {
				return fmt.Errorf("no such thing: %w", outbox.ErrDrop)
			}
			return box.handle(ctx, e)
		}))
		s.append(t, "ann", 1, 2)
		s.append(t, "ann", 2, 4)
		box.await(t, "ann", 2, 4)
		testkit.Eventually(t, patience, func() bool { return s.pending(t, outbox.Relay) == 0 }, "acknowledgements")
	})
}

func TestReaderPassesOverWhatIsMalformed(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var box inbox
		s.append(t, "ann", 0, 1)
		key := outbox.Key(s.shards.Of("ann"))
		err := s.client.XAdd(t.Context(), &redis.XAddArgs{Stream: key, Values: []string{"player", "ann", "v", "many"}}).Err()
		if err != nil {
			t.Fatal(err)
		}
		s.append(t, "ann", 1, 2)
		run(t, s.reader(outbox.Relay, box.handle))
		box.await(t, "ann", 0, 2)
		testkit.Eventually(t, patience, func() bool { return s.pending(t, outbox.Relay) == 0 }, "acknowledgements")
	})
}

// TestFailureHoldsUpNoOtherShard: an event that fails for ever holds up its
// player, and at most those of its shard.
func TestFailureHoldsUpNoOtherShard(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		players := crowd(20)
		stuck := players[0]
		var box inbox
		var tried atomic.Int32
		run(t, s.reader(outbox.Relay, func(ctx context.Context, e outbox.Event) error {
			if e.Player == stuck {
				tried.Add(1)
				return errHandler
			}
			return box.handle(ctx, e)
		}))
		s.append(t, stuck, 0, 3)
		testkit.Eventually(t, patience, func() bool { return tried.Load() > 1 }, "the failure")
		others := slices.DeleteFunc(players, func(p string) bool { return s.shards.Of(p) == s.shards.Of(stuck) })
		for _, p := range others {
			s.append(t, p, 0, 3)
		}
		for _, p := range others {
			box.await(t, p, 0, 3)
		}
	})
}

// TestNextReaderHandlesWhatADeadOneLeft abandons a reader in the middle of an
// event: it acknowledges nothing and gives no lease back.
func TestNextReaderHandlesWhatADeadOneLeft(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		entered, release := make(chan struct{}, 64), make(chan struct{})
		dead := s.reader(outbox.Relay, func(context.Context, outbox.Event) error {
			entered <- struct{}{}
			<-release
			return errHandler
		})
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- dead.Run(ctx) }()
		t.Cleanup(func() {
			close(release)
			if err := <-over; err != nil {
				t.Errorf("the dead reader ended with %v", err)
			}
		})
		s.append(t, "ann", 0, 3)
		<-entered
		cancel() // its lease is not renewed any more
		s.awaitLeases(t, outbox.Relay)

		var box inbox
		run(t, s.reader(outbox.Relay, box.handle))
		s.append(t, "ann", 3, 5)
		box.await(t, "ann", 0, 5)
	})
}

func TestReadersShareWithoutLoss(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		players := crowd(20)
		var box inbox
		stopFirst := run(t, s.reader(outbox.Relay, box.handle))
		run(t, s.reader(outbox.Relay, box.handle))
		for _, p := range players {
			s.append(t, p, 0, 3)
		}
		for _, p := range players {
			box.await(t, p, 0, 3)
		}
		stopFirst() // gives its leases back
		for _, p := range players {
			s.append(t, p, 3, 6)
		}
		for _, p := range players {
			box.await(t, p, 0, 6)
		}
	})
}

func TestReaderSurvivesALostRedis(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		players := crowd(20)
		var box inbox
		run(t, s.reader(outbox.Relay, box.handle))
		for _, p := range players {
			s.append(t, p, 0, 2)
		}
		for _, p := range players {
			box.await(t, p, 0, 2)
		}
		s.flush(t)
		for _, p := range players {
			s.append(t, p, 2, 4)
		}
		for _, p := range players {
			box.await(t, p, 0, 4)
		}
	})
}

// lostReplies is a hook that loses the first answer that holds new entries,
// after the server has counted them as delivered.
type lostReplies struct{ left *atomic.Int32 }

func (l lostReplies) DialHook(next redis.DialHook) redis.DialHook { return next }

func (l lostReplies) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (l lostReplies) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if err == nil && cmd.Name() == "xreadgroup" && slices.Contains(cmd.Args(), any(">")) && l.left.Add(-1) >= 0 {
			cmd.SetErr(io.ErrUnexpectedEOF)
			return io.ErrUnexpectedEOF
		}
		return err
	}
}

func TestReaderSurvivesALostReply(t *testing.T) {
	onServers(t, func(s *site) {
		t := s.T
		var left atomic.Int32
		left.Store(1)
		s.client.AddHook(lostReplies{left: &left})
		var box inbox
		run(t, s.reader(outbox.Relay, box.handle))
		s.append(t, "ann", 0, 5)
		box.await(t, "ann", 0, 5)
		if left.Load() > 0 {
			t.Error("no reply was lost")
		}
	})
}

// reads is a hook that notes how many outboxes each blocking read names.
type reads struct{ outboxes chan int }

func (r reads) DialHook(next redis.DialHook) redis.DialHook { return next }

func (r reads) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

func (r reads) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		if cmd.Name() == "xreadgroup" && slices.Contains(cmd.Args(), any(">")) {
			n := 0
			for _, arg := range cmd.Args() {
				if arg == ">" {
					n++
				}
			}
			select {
			case r.outboxes <- n:
			default:
			}
		}
		return next(ctx, cmd)
	}
}

func TestOneReadCoversAllShardsOfAServer(t *testing.T) {
	onEach(t, func(s *site) {
		t := s.T
		hook := reads{outboxes: make(chan int, 1000)}
		s.client.AddHook(hook)
		var box inbox
		run(t, s.reader(outbox.Relay, box.handle))
		s.append(t, "ann", 0, 1)
		box.await(t, "ann", 0, 1)
		want := s.shards.N()
		if _, clustered := s.client.(*redis.ClusterClient); clustered {
			want = 1 // a command names the keys of one slot
		}
		if got := <-hook.outboxes; got != want {
			t.Errorf("the read names %d outboxes, want %d", got, want)
		}
	})
}

// neighbours returns n players of the shard that player is on.
func (s *site) neighbours(player string, n int) []string {
	var found []string
	for i := 0; len(found) < n; i++ {
		if p := fmt.Sprintf("neighbour-%d", i); s.shards.Of(p) == s.shards.Of(player) {
			found = append(found, p)
		}
	}
	return found
}
