package playerstest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/holdfast-games/holdfast/pkg/players"
)

var concurrencyTests = []testCase{
	{"one identity logging in at once is one player", testRaceFindOrCreate},
	{"one login sent twice is one player", testRaceSameLogin},
	{"many identities at once are many players", testRaceManyPlayers},
	{"one token refreshed at once rotates once", testRaceRotate},
	{"a copied token ends the family once", testRaceReuse},
	{"revocations count up", testRaceRevoke},
	{"no login survives a revocation", testRaceLoginRevoke},
	{"an identity is linked to one player", testRaceLink},
	{"one identity is left", testRaceUnlink},
	{"a deleted player comes back once", testRaceRestore},
	{"purges share the work", testRacePurge},
}

const racers = 32

// race runs a step at once on both handles and returns its results.
func race[T any](b *backend, step func(i int, s players.Store) (T, error)) []T {
	b.t.Helper()
	var (
		results = make([]T, racers)
		errs    = make([]error, racers)
		gate    = make(chan struct{})
		wg      sync.WaitGroup
	)
	for i := range racers {
		s := b.Store
		if i%2 == 1 {
			s = b.other
		}
		wg.Go(func() {
			<-gate
			results[i], errs[i] = step(i, s)
		})
	}
	close(gate)
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		b.t.Fatal(err)
	}
	return results
}

func tally[T comparable](values []T) map[T]int {
	counts := map[T]int{}
	for _, v := range values {
		counts[v]++
	}
	return counts
}

type login struct {
	player  players.Player
	created bool
}

func mustBeOnePlayer(t *testing.T, logins []login) {
	t.Helper()
	created := 0
	for _, l := range logins {
		equal(t, "the player", l.player, logins[0].player)
		if l.created {
			created++
		}
	}
	equal(t, "logins that created the player", created, 1)
}

func testRaceFindOrCreate(b *backend) {
	mustBeOnePlayer(b.t, race(b, func(i int, s players.Store) (login, error) {
		p, created, err := s.FindOrCreate(b.t.Context(), guest(1), newPlayer(fmt.Sprint("racer ", i)), start)
		return login{p, created}, err
	}))
}

func testRaceSameLogin(b *backend) {
	create := newPlayer("Ada")
	mustBeOnePlayer(b.t, race(b, func(_ int, s players.Store) (login, error) {
		p, created, err := s.FindOrCreate(b.t.Context(), guest(1), create, start)
		return login{p, created}, err
	}))
}

func testRaceManyPlayers(b *backend) {
	ids := race(b, func(i int, s players.Store) (string, error) {
		p, created, err := s.FindOrCreate(b.t.Context(), guest(i), newPlayer(""), start)
		if err == nil && !created {
			err = fmt.Errorf("identity %d was known", i)
		}
		return p.ID, err
	})
	equal(b.t, "players", len(tally(ids)), racers)
}

func testRaceRotate(b *backend) {
	family := b.family(b.player(guest(1), "Ada"))
	for presented := int64(1); presented <= 5; presented++ {
		results := race(b, func(_ int, s players.Store) (players.RotateResult, error) {
			return s.RotateFamily(b.t.Context(), players.Rotation{
				FamilyID: family, Presented: presented, Now: start, Sliding: sliding,
			})
		})
		rotated := 0
		for _, r := range results {
			if r.Outcome == players.Rotated {
				rotated++
				r.Outcome = players.Repeated
			}
			want := players.RotateResult{
				Outcome: players.Repeated, Counter: presented + 1, ExpiresAt: start.Add(sliding), Player: results[0].Player,
			}
			equal(b.t, "an answer", r, want)
		}
		equal(b.t, "rotations", rotated, 1)
	}
}

func testRaceReuse(b *backend) {
	family := b.family(b.player(guest(1), "Ada"))
	b.rotate(family, 1, start)
	b.rotate(family, 2, start)
	outcomes := race(b, func(_ int, s players.Store) (players.Outcome, error) {
		r, err := s.RotateFamily(b.t.Context(), players.Rotation{FamilyID: family, Presented: 1, Now: start, Sliding: sliding})
		return r.Outcome, err
	})
	counts := tally(outcomes)
	equal(b.t, "reused", counts[players.Reused], 1)
	equal(b.t, "ended", counts[players.Ended], racers-1)
}

func testRaceRevoke(b *backend) {
	ada := b.player(guest(1), "Ada")
	revs := tally(race(b, func(_ int, s players.Store) (int64, error) {
		return s.Revoke(b.t.Context(), ada.ID, players.Banned, start)
	}))
	for rev := int64(1); rev <= racers; rev++ {
		equal(b.t, fmt.Sprintf("calls that returned rev %d", rev), revs[rev], 1)
	}
}

// testRaceLoginRevoke races whole logins with revocations. Whatever a token was
// granted under, it must be dead by the rev or the family it carries.
func testRaceLoginRevoke(b *backend) {
	ada := b.player(guest(1), "Ada")
	type token struct {
		family string
		rev    int64
	}
	logIn := func(s players.Store) (token, error) {
		p, _, err := s.FindOrCreate(b.t.Context(), guest(1), newPlayer(""), start)
		if err != nil {
			return token{}, err
		}
		f := newFamily(p)
		if err := s.CreateFamily(b.t.Context(), f); err != nil {
			return token{}, err
		}
		r, err := s.RotateFamily(b.t.Context(), players.Rotation{FamilyID: f.ID, Presented: 1, Now: start, Sliding: sliding})
		if err != nil || !r.Outcome.Granted() {
			return token{}, err
		}
		return token{f.ID, r.Player.Rev}, nil
	}
	tokens := race(b, func(i int, s players.Store) (token, error) {
		if i%4 == 0 {
			_, err := s.Revoke(b.t.Context(), ada.ID, players.Banned, start)
			return token{}, err
		}
		got, err := logIn(s)
		if errors.Is(err, players.ErrChanged) {
			err = nil
		}
		return got, err
	})
	rev := b.get(ada.ID).Rev
	equal(b.t, "rev", rev, racers/4)
	for _, got := range tokens {
		if got.family == "" {
			continue
		}
		revoked := b.facts(ada.ID, got.family).FamilyRevoked
		if old := got.rev < rev; old != revoked {
			b.t.Errorf("a token of rev %d: refused by rev %v, family ended %v; rev is %d", got.rev, old, revoked, rev)
		}
	}
}

func testRaceLink(b *backend) {
	ids := make([]string, racers)
	for i := range ids {
		ids[i] = b.player(guest(i), "").ID
	}
	linked := race(b, func(i int, s players.Store) (bool, error) {
		already, err := s.Link(b.t.Context(), ids[i], steam(1), start)
		if errors.Is(err, players.ErrIdentityTaken) {
			return false, nil
		}
		return !already, err
	})
	equal(b.t, "players linked", tally(linked)[true], 1)
	winner, _, err := b.FindOrCreate(b.t.Context(), steam(1), newPlayer(""), start)
	if err != nil {
		b.t.Fatal(err)
	}
	for i, playerID := range ids {
		equal(b.t, "the player that the identity leads to", linked[i], playerID == winner.ID)
	}
}

func testRaceUnlink(b *backend) {
	ada := b.player(guest(1), "Ada")
	b.link(ada.ID, steam(1), false)
	providers := []string{"guest", "steam"}
	race(b, func(i int, s players.Store) (bool, error) {
		already, err := s.Unlink(b.t.Context(), ada.ID, providers[i/2%2], start)
		if errors.Is(err, players.ErrLastIdentity) {
			return false, nil
		}
		return already, err
	})
	left, err := b.Identities(b.t.Context(), ada.ID)
	if err != nil || len(left) != 1 {
		b.t.Fatalf("Identities = %v, %v; want one", left, err)
	}
	equal(b.t, "provider", b.get(ada.ID).Provider, left[0].Provider)
}

func testRaceRestore(b *backend) {
	ada := b.player(guest(1), "Ada")
	if _, err := b.Delete(b.t.Context(), ada.ID, start); err != nil {
		b.t.Fatal(err)
	}
	names := race(b, func(i int, s players.Store) (string, error) {
		p, created, err := s.FindOrCreate(b.t.Context(), guest(1), newPlayer(fmt.Sprint("racer ", i)), start)
		if err == nil && (created || p.ID != ada.ID) {
			err = fmt.Errorf("another player: %+v", p)
		}
		return p.DisplayName, err
	})
	equal(b.t, "names that logins saw", len(tally(names)), 1)
}

func testRacePurge(b *backend) {
	const families = 100
	ada := b.player(guest(1), "Ada")
	for range families {
		b.family(ada)
	}
	total := 0
	for _, n := range race(b, func(_ int, s players.Store) (int, error) {
		return s.PurgeExpired(b.t.Context(), start.Add(absolute), 5)
	}) {
		if n > 5 {
			b.t.Errorf("%d removed with a limit of 5", n)
		}
		total += n
	}
	rest, err := b.PurgeExpired(b.t.Context(), start.Add(absolute), families)
	if err != nil {
		b.t.Fatal(err)
	}
	equal(b.t, "families removed in all", total+rest, families)
}
