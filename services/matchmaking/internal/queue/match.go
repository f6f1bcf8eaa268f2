package queue

import "time"

// MatchState says where a match is in its life.
type MatchState string

// The states of a match.
const (
	Forming   MatchState = "forming"   // its members' sessions are being asked; nobody knows of it
	Found     MatchState = "found"     // every session has taken it
	Cancelled MatchState = "cancelled" // a session refused; nobody ever knew of it
	Void      MatchState = "void"      // over, without a result
)

// Match is a match. Times are Unix ms, Redis time.
type Match struct {
	ID        string
	Queue     string
	State     MatchState
	V         int64
	CreatedAt int64
	FoundAt   int64
	EndsAt    int64 // when it ends by itself, with what outages have given back
	Reason    string
	Members   []Member
	Now       int64 // when this was read
}

// Member is a player of a match.
type Member struct {
	Player string
	SID    string
	Ticket string
	Status Status
	V      int64 // session version of the announcement, once In
}

// Status says where a member is with the match.
type Status string

// The statuses of a member: the first group while the match lives, the second
// once it is cancelled.
const (
	Asked Status = "asked" // not confirmed yet
	In    Status = "in"    // has the match in its session
	Read  Status = "read"  // and has seen it
	Left  Status = "left"

	Willing     Status = "willing"     // took it: waits again
	Busy        Status = "busy"        // a match elsewhere has it: waits again, in a moment
	Unreachable Status = "unreachable" // waits again once it is back
	Gone        Status = "gone"        // holds the ticket no more: its ticket goes
)

// Announced reports whether players may know of the match.
func (m Match) Announced() bool { return m.State == Found || m.State == Void }

// Players returns the ids of all players, in the order of the match.
func (m Match) Players() []string {
	players := make([]string, len(m.Members))
	for i, member := range m.Members {
		players[i] = member.Player
	}
	return players
}

// Member returns the member who is that player.
func (m Match) Member(player string) (Member, bool) {
	for _, member := range m.Members {
		if member.Player == player {
			return member, true
		}
	}
	return Member{}, false
}

// Reasons for the end of a ticket or a match, as clients see them.
const (
	ReasonLeft        = "left"              // the player left
	ReasonMatched     = "matched_elsewhere" // another queue had a match first
	ReasonGone        = "session_gone"      // the session that held it is no more
	ReasonAllLeft     = "everybody_left"
	ReasonMaxDuration = "max_duration"
	ReasonRefused     = "refused" // a session did not take the match
)

// Periods of matchmaking.
const (
	RecheckInterval = 30 * time.Second // tickets are compared with their sessions this often
	TombstoneTTL    = time.Minute      // a ticket that is over is remembered this long
	BusyPause       = time.Second      // a ticket whose player is being matched elsewhere rests this long
	FormingTimeout  = 3 * time.Second  // a forming match that nobody moves is taken up by the sweep
	RepeatInterval  = 5 * time.Second  // match_found is repeated this often
	RepeatFor       = time.Minute      // at most this long
	MatchRecheck    = time.Minute      // found matches are compared with their sessions this often
	KeepMatch       = 10 * time.Minute // a match that is over is kept this long
	DefaultDuration = 2 * time.Hour    // a match ends by itself after this
	Backstop        = 48 * time.Hour   // TTL of what the sweep removes long before
	SweepInterval   = 500 * time.Millisecond
	SweepClaim      = 5 * time.Second // who takes something that is due has this long for it
	MaxDuePerPass   = 100
)
