// Command demo plays the story that Holdfast is for, and tells what happens:
// two players log in and connect, one loses its connection in the queue,
// everything is killed and started again, and both get their match.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/holdfast-games/holdfast/proto/wire"
	"github.com/holdfast-games/holdfast/tests/player"
)

func main() {
	origin := flag.String("origin", "", "play against a running system, such as http://127.0.0.1:8080, instead of an own one")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := run(ctx, *origin); err != nil {
		fmt.Fprintln(os.Stderr, "\nThe story broke off:", err)
		os.Exit(1) //nolint:gocritic // nothing is left to clean up
	}
}

func run(ctx context.Context, origin string) error {
	h, err := open(ctx, origin)
	if err != nil {
		return err
	}
	defer h.close()
	d := &drama{house: h, start: time.Now()}
	if err := d.play(ctx); err != nil {
		return err
	}
	fmt.Println("\nNobody was lost.")
	return nil
}

// drama is one run of the story.
type drama struct {
	house house
	start time.Time
	ada   *player.Player
	bob   *player.Player
}

func (d *drama) say(format string, args ...any) {
	fmt.Printf("%6.2fs  %s\n", time.Since(d.start).Seconds(), fmt.Sprintf(format, args...))
}

func (d *drama) play(ctx context.Context) error {
	run := fmt.Sprint(time.Now().UnixNano())
	d.ada, d.bob = player.New(d.house.origin, "ada-"+run), player.New(d.house.origin, "bob-"+run)
	adas, err := d.arrive(ctx, "Ada", d.ada)
	if err != nil {
		return err
	}
	bobs, err := d.arrive(ctx, "Bob", d.bob)
	if err != nil {
		return err
	}
	defer bobs.Drop()
	ticket, err := d.ada.Queue(ctx, "duel")
	if err != nil {
		return err
	}
	d.say("Ada queues for a duel: ticket %s, queued at %s", ticket.TicketID, clock(ticket.QueuedAt))
	if err := d.loseConnection(ctx, adas); err != nil {
		return err
	}
	if err := d.killEverything(ctx); err != nil {
		return err
	}
	again, err := d.comeBack(ctx, ticket.QueuedAt)
	if err != nil {
		return err
	}
	defer again.Drop()
	return d.match(ctx, again, bobs)
}

func (d *drama) arrive(ctx context.Context, name string, p *player.Player) (*player.Connection, error) {
	if err := p.LogIn(ctx); err != nil {
		return nil, err
	}
	d.say("%s logs in as a guest and is player %s", name, p.ID())
	c, err := p.Connect(ctx)
	if err != nil {
		return nil, err
	}
	_, err = c.AwaitSession(ctx, func(s wire.SnapshotPush) bool { return s.Presence == wire.PresenceConnected })
	if err != nil {
		return nil, err
	}
	d.say("%s connects over MQTT and is sent the session: connected", name)
	return c, nil
}

func (d *drama) loseConnection(ctx context.Context, c *player.Connection) error {
	c.Drop()
	d.say("Ada's network dies: the TCP connection is cut, no DISCONNECT is sent")
	if d.house.look == nil {
		d.say("(what the server thinks of Ada is left out: there is no access to /internal here)")
		return nil
	}
	snapshot, err := d.house.await(ctx, d.ada.ID(), func(s wire.Snapshot) bool {
		return s.Presence == wire.PresenceGrace && len(s.Queue) == 1 && s.Queue[0].Held
	})
	if err != nil {
		return err
	}
	d.say("the server has noticed: Ada is in grace for %d s, the ticket is held, queued at %s",
		*snapshot.RemainingMs/1000, clock(snapshot.Queue[0].QueuedAt))
	return nil
}

func (d *drama) killEverything(ctx context.Context) error {
	if d.house.killAll == nil {
		d.say("(killing every service is left out: %s)", d.house.why)
		return nil
	}
	d.house.killAll()
	d.say("kill -9 of every instance of every service")
	if err := d.house.startAll(ctx); err != nil {
		return err
	}
	d.say("they are started again")
	return nil
}

func (d *drama) comeBack(ctx context.Context, queuedAt wire.Time) (*player.Connection, error) {
	c, err := d.ada.Connect(ctx)
	if err != nil {
		return nil, err
	}
	push, err := c.AwaitSession(ctx, func(s wire.SnapshotPush) bool {
		return s.Presence == wire.PresenceConnected && len(s.Queue) == 1 && !s.Queue[0].Held
	})
	if err != nil {
		return nil, err
	}
	if push.Queue[0].QueuedAt != queuedAt {
		return nil, fmt.Errorf("the place in the queue was lost: %v is not %v", push.Queue[0].QueuedAt, queuedAt)
	}
	d.say("Ada connects again with the same token: connected, in the queue, still queued at %s", clock(queuedAt))
	return c, nil
}

func (d *drama) match(ctx context.Context, adas, bobs *player.Connection) error {
	if _, err := d.bob.Queue(ctx, "duel"); err != nil {
		return err
	}
	d.say("Bob queues for a duel")
	found, err := adas.AwaitPush(ctx, wire.MatchmakingMatchFound)
	if err != nil {
		return err
	}
	other, err := bobs.AwaitPush(ctx, wire.MatchmakingMatchFound)
	if err != nil {
		return err
	}
	if found.MatchID != other.MatchID {
		return fmt.Errorf("Ada is in match %s, Bob in %s", found.MatchID, other.MatchID) //nolint:staticcheck // names
	}
	d.say("both are told over MQTT: match %s", found.MatchID)
	for _, p := range []*player.Player{d.ada, d.bob} {
		if err := p.LeaveMatch(ctx, found.MatchID); err != nil {
			return err
		}
	}
	d.say("they play, and leave the match")
	return nil
}

func clock(t wire.Time) string { return t.Time().Format("15:04:05.000") }
