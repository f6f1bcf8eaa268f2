package hook

import (
	"strings"

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

// maySubscribe reports whether a player may subscribe to a filter when the
// static rules did not decide: its own topics only, until there are lobbies.
func maySubscribe(player, filter string) bool {
	if !topic.ValidPlayer(player) {
		return false
	}
	return ownTopic(player, filter)
}

// ownTopic reports whether a filter is one of the player's own topics, or all
// of them.
func ownTopic(player, filter string) bool {
	t, err := topic.Parse(filter)
	if err != nil {
		return filter == playerTopics(player)+"+"
	}
	return t.Player == player && t.Lobby == ""
}

// showsSnapshot reports whether a subscription to filter receives the
// player's snapshots.
func showsSnapshot(player, filter string) bool {
	if !strings.HasPrefix(filter, playerTopics(player)) {
		return false
	}
	t, err := topic.Parse(filter)
	if err != nil {
		return filter == playerTopics(player)+"+"
	}
	return t.Kind.Covers(topic.KindPlayerSession)
}
