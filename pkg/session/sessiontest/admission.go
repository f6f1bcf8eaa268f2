package sessiontest

import (
	"errors"
	"fmt"
	"time"

	"github.com/holdfast-games/holdfast/pkg/session"
)

func admissionPromises() []promise {
	return []promise{
		{"a valid token makes a session where there is none", makesSession},
		{"without facts an absent session is asked for, not made", asksForFacts},
		{"a session is healed until that is read", healedUntilRead},
		{"a login is no healing", loginIsNoHealing},
		{"the profile of a token gives way to the durable one", durableProfile},
		{"a revoked token is refused by every call", revokedEverywhere},
		{"a revocation survives a wipe", revocationSurvivesWipe},
		{"a login that is over is refused and others are not", familyLoggedOut},
		{"a login that the durable record knows to be over is refused", familyRevokedInFacts},
		{"a login is vouched for once in a life", vouchedForOnce},
		{"the logins vouched for are bounded", vouchingIsBounded},
		{"facts bring a revocation back", revocationComesBack},
		{"a revocation is forgotten after the longest life of a token", revocationLapses},
		{"an epoch is newer than every earlier one", epochsGrow},
		{"an epoch is newer than the last revocation", epochAfterRevocation},
		{"an attempt that never connects changes nothing", attemptIsHarmless},
	}
}

func makesSession(f *fixture) {
	res := must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), known("ann"), false))
	r := f.outcome(res, session.Created)
	want := session.Record{
		Player: "ann", SID: r.SID, V: f.now(), Presence: session.Detached, Since: f.now(), Seen: f.now(), Healed: true,
		Deadline: f.now() + f.settings.DetachedTTL.Milliseconds(), Name: "ann", Provider: "guest", Durable: true, Now: f.now(),
	}
	f.equal("record", r, want)
	if r.SID == "" {
		f.Error("the session has no id")
	}
	e := f.lastEvent("session.created")
	f.equal("event", []any{e.Player, e.SID, e.V, e.Prev, e.At}, []any{"ann", r.SID, r.V, int64(0), f.now()})

	f.World.Advance(time.Second)
	res = must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), nil, false))
	again := f.outcome(res, session.OK)
	f.equal("life", again.SID, r.SID)
	f.equal("version", again.V, r.V)
	f.equal("seen", again.Seen, f.now())
	f.equal("read back", f.get("ann"), again)
}

func asksForFacts(f *fixture) {
	_, err := f.Store.Ensure(f.Context(), token("ann"), nil, true)
	_, _, beginErr := f.Store.Begin(f.Context(), token("ann"), nil)
	_, reserveErr := f.Store.Reserve(f.Context(), token("ann"), nil, session.Reservation{Kind: session.Ticket, ID: "t", Most: 1})
	_, connectedErr := f.Store.Connected(f.Context(), "ann", "7/7/10.0.0.1:7", "", nil)
	for _, err := range []error{err, beginErr, reserveErr, connectedErr} {
		if !errors.Is(err, session.ErrAbsent) {
			f.Errorf("got %v, want ErrAbsent", err)
		}
	}
	f.equal("outcome", must[session.Result](f)(f.Store.Get(f.Context(), "ann")).Outcome, session.None)
	f.equal("events", f.eventTypes(), []string{})
}

func healedUntilRead(f *fixture) {
	ensure := func(read bool) session.Record {
		return must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), known("ann"), read)).Record
	}
	f.equal("made by a call", ensure(false).Healed, true)
	f.equal("not read yet", ensure(false).Healed, true)
	r := ensure(true)
	f.equal("as it is read", r.Healed, true)
	f.equal("version read", r.Read, r.V)
	f.equal("after it was read", ensure(true).Healed, false)
	f.end("ann", session.Ending{Reason: "kicked"})
	f.World.Advance(time.Millisecond)
	f.equal("healed as it is made and read", ensure(true).Healed, true)
	f.equal("then no more", f.get("ann").Healed, false)
}

func loginIsNoHealing(f *fixture) {
	facts := known("ann")
	facts.Login = true
	r := must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), facts, false)).Record
	f.equal("healed", r.Healed, false)
	_ = must[session.Result](f)(f.Store.Connected(f.Context(), "bob", "7/7/10.0.0.1:7", "", known("bob")))
	f.equal("made by the broker's event", f.get("bob").Healed, true)
}

func durableProfile(f *fixture) {
	ensure := func(name, provider string, durable bool) session.Record {
		facts := &session.Facts{Name: name, Provider: provider, Durable: durable}
		return must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), facts, false)).Record
	}
	made := ensure("ann", "guest", false)
	f.equal("from a token", []any{made.Name, made.Durable}, []any{"ann", false})
	f.World.Advance(time.Second)
	f.equal("another token's name", ensure("anna", "guest", false).Name, "ann")
	same := ensure("ann", "steam", true)
	f.equal("confirmed", []any{same.Provider, same.Durable, same.V}, []any{"steam", true, made.V})
	_ = f.events()
	renamed := ensure("Ann", "steam", true)
	f.equal("renamed", []any{renamed.Name, renamed.V, renamed.Prev}, []any{"Ann", f.now(), made.V})
	e := f.lastEvent("session.profile")
	f.equal("event", []int64{e.V, e.Prev}, []int64{renamed.V, renamed.Prev})
	f.equal("a token's name", ensure("ann", "guest", false).Name, "Ann")
}

func (f *fixture) refuses(c session.Claims, facts *session.Facts) {
	f.Helper()
	_, err := f.Store.Ensure(f.Context(), c, facts, true)
	_, epoch, beginErr := f.Store.Begin(f.Context(), c, facts)
	hold, reserveErr := f.Store.Reserve(f.Context(), c, facts, session.Reservation{Kind: session.Lobby, ID: "l", Most: 1})
	for _, err := range []error{err, beginErr, reserveErr} {
		if !errors.Is(err, session.ErrRevoked) {
			f.Errorf("got %v, want ErrRevoked", err)
		}
	}
	f.equal("what a refusal gives", []any{epoch, hold}, []any{int64(0), session.Hold{}})
}

func revokedEverywhere(f *fixture) {
	f.connect("ann")
	_, rev, err := f.Store.End(f.Context(), "ann", session.Ending{Reason: "banned", Revoke: true})
	f.equal("generation", []any{rev, err}, []any{int64(1), nil})
	_ = f.events()
	f.refuses(token("ann"), known("ann"))
	f.refuses(token("ann"), nil)
	f.equal("events", f.eventTypes(), []string{})
	f.equal("record", f.get("ann").SID, "")

	renewed := token("ann")
	renewed.Rev = rev
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), renewed, known("ann"), false)), session.Created)
	f.refuses(token("ann"), known("ann"))
}

func revocationSurvivesWipe(f *fixture) {
	f.call("ann")
	f.Wipe(f)
	f.log = eventLog{}
	facts := known("ann")
	facts.Rev, facts.RevokedAt = 3, time.UnixMilli(f.now())
	old := token("ann")
	old.Rev = 2
	f.refuses(old, facts)
	id := session.NewConnectionID(f.now(), f.now(), "10.0.0.1:7")
	f.outcome(must[session.Result](f)(f.Store.Connected(f.Context(), "ann", id, "", facts)), session.Refused)
	f.equal("told to the broker", f.lastEvent("broker.kick").Fields, map[string]string{"connection": string(id)})
	renewed := token("ann")
	renewed.Rev = 3
	_, epoch, err := f.Store.Begin(f.Context(), renewed, facts)
	f.equal("epoch", []any{epoch, err}, []any{f.now() + 1, nil})
}

func familyLoggedOut(f *fixture) {
	f.call("ann")
	f.end("ann", session.Ending{Reason: "logged_out", Family: "laptop"})
	f.refuses(token("ann"), known("ann"))
	phone := token("ann")
	phone.Family = "phone"
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), phone, known("ann"), false)), session.Created)
	f.World.Advance(f.settings.RevokedTTL() / 2)
	f.end("ann", session.Ending{Reason: "logged_out", Family: "phone"})
	f.refuses(token("ann"), known("ann"))
	f.refuses(phone, known("ann"))
}

// vouchedForOnce: a login that nobody vouched for in this life of the session
// needs facts, so that a revocation survives the loss of Redis even when a
// newer login has made a record again.
func vouchedForOnce(f *fixture) {
	f.call("ann")
	phone := token("ann")
	phone.Family = "phone"
	_, err := f.Store.Ensure(f.Context(), phone, nil, false)
	f.equal("a login unheard of", err, error(session.ErrAbsent))
	_, _, err = f.Store.Begin(f.Context(), phone, nil)
	f.equal("its begin", err, error(session.ErrAbsent))
	_, err = f.Store.Reserve(f.Context(), phone, nil, ticketIn("ranked", "t"))
	f.equal("its reserve", err, error(session.ErrAbsent))
	standIn := session.Facts{Name: "Ann", Provider: "guest"}
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), phone, &standIn, false)), session.OK)
	_, err = f.Store.Ensure(f.Context(), phone, nil, false)
	f.equal("after a token stood in", err, error(session.ErrAbsent))
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), phone, known("ann"), false)), session.OK)
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), phone, nil, false)), session.OK)
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), token("ann"), nil, false)), session.OK)
}

func vouchingIsBounded(f *fixture) {
	f.call("ann")
	for i := range session.MaxFamilies {
		another := token("ann")
		another.Family = fmt.Sprint("device-", i)
		f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), another, known("ann"), false)), session.OK)
	}
	_, err := f.Store.Ensure(f.Context(), token("ann"), nil, false)
	f.equal("the first one is asked about again", err, error(session.ErrAbsent))
}

// revocationComesBack: facts bring back what a wiped Redis had forgotten, for
// calls and connections that bring none.
func revocationComesBack(f *fixture) {
	id := f.dial("ann")
	f.World.Advance(time.Second)
	f.Wipe(f)
	facts := known("ann")
	facts.Rev, facts.RevokedAt = 2, time.UnixMilli(f.now())
	renewed := token("ann")
	renewed.Rev = 2
	f.outcome(must[session.Result](f)(f.Store.Ensure(f.Context(), renewed, facts, false)), session.Created)
	f.refuses(token("ann"), nil)
	res := must[session.Result](f)(f.Store.Connected(f.Context(), "ann", id, "node", nil))
	f.outcome(res, session.Refused)
}

func familyRevokedInFacts(f *fixture) {
	facts := known("ann")
	facts.FamilyRevoked = true
	f.refuses(token("ann"), facts)
	f.equal("record", f.get("ann").SID, "")
	f.call("ann")
	f.refuses(token("ann"), facts)
}

func revocationLapses(f *fixture) {
	f.end("ann", session.Ending{Reason: "logged_out", Revoke: true, Rev: 5, Family: "laptop"})
	f.World.Advance(f.settings.RevokedTTL())
	f.refuses(token("ann"), known("ann"))
	f.World.Advance(time.Millisecond)
	f.call("ann")
	_, rev, err := f.Store.End(f.Context(), "ann", session.Ending{Reason: "kicked"})
	f.equal("an end does not bring it back", []any{rev, err}, []any{int64(0), nil})
	f.call("ann")
}

func epochsGrow(f *fixture) {
	begin := func() int64 {
		_, epoch, err := f.Store.Begin(f.Context(), token("ann"), known("ann"))
		if err != nil {
			f.Fatalf("begin: %v", err)
		}
		return epoch
	}
	first := begin()
	f.equal("first", first, f.now())
	f.equal("in the same ms", []int64{begin(), begin()}, []int64{first + 1, first + 2})
	f.equal("kept", f.get("ann").Epoch, first+2)
	f.World.Advance(time.Minute)
	f.equal("later", begin(), f.now())
	f.Wipe(f)
	f.World.Advance(time.Millisecond)
	f.equal("after a wipe", begin(), f.now())
}

func epochAfterRevocation(f *fixture) {
	for range 3 {
		f.dial("ann")
	}
	last := f.get("ann").Epoch
	f.end("ann", session.Ending{Reason: "kicked"})
	id := f.dial("ann")
	f.equal("in the same ms", id.Epoch(), last+1)
	f.outcome(f.connected("ann", id), session.Opened)
}

func attemptIsHarmless(f *fixture) {
	id := f.connect("ann")
	before := f.get("ann")
	_ = f.events()
	f.World.Advance(time.Second)
	f.dial("ann")
	after := f.get("ann")
	f.equal("open", ids(after.Connections), []session.ConnectionID{id})
	before.Seen, before.Epoch, before.Now = after.Seen, after.Epoch, after.Now
	f.equal("record", after, before)
	f.equal("events", f.eventTypes(), []string{})
}
