package hook

import (
	"github.com/holdfast-games/holdfast/proto/topic"
	"github.com/holdfast-games/holdfast/services/emqx-hook/internal/api"
)

// staticRules are what a player may and may not do wherever it is. They travel
// with the login; EMQX takes the first that matches, and asks /emqx/authz only
// where none does, which leaves the topics of lobbies. A "+" in a rule would
// admit a requested "#" too, so none stands where that matters.
func staticRules(player string) []api.ACLRule {
	return []api.ACLRule{
		{Permission: api.ACLRulePermissionAllow, Action: api.ACLRuleActionSubscribe, Topic: playerTopics(player) + "#"},
		{Permission: api.ACLRulePermissionDeny, Action: api.ACLRuleActionAll, Topic: "player/#"},
		{Permission: api.ACLRulePermissionDeny, Action: api.ACLRuleActionAll, Topic: "$SYS/#"},
		{Permission: api.ACLRulePermissionDeny, Action: api.ACLRuleActionSubscribe, Topic: "eq #"},
		{Permission: api.ACLRulePermissionDeny, Action: api.ACLRuleActionSubscribe, Topic: "eq +/#"},
	}
}

// playerTopics is what every topic of one player starts with.
func playerTopics(player string) string { return "player/" + player + "/" }

// own returns what a filter is when it is one of the player's own topics, or
// covers all of them.
func own(player, filter string) (topic.Kind, bool) {
	if topic.ValidPlayer(player) && filter == playerTopics(player)+"+" {
		return topic.KindPlayerAll, true
	}
	t, err := topic.Parse(filter)
	if err != nil || t.Player != player || t.Lobby != "" {
		return topic.KindUnknown, false
	}
	return t.Kind, true
}

// maySubscribe reports whether a player may subscribe to a filter that the
// static rules left open: to its own topics, and until there are lobbies to
// nothing else.
func maySubscribe(player, filter string) bool {
	_, ok := own(player, filter)
	return ok
}

// showsSnapshot reports whether a subscription to filter receives the
// player's snapshots.
func showsSnapshot(player, filter string) bool {
	kind, ok := own(player, filter)
	return ok && kind.Covers(topic.KindPlayerSession)
}
