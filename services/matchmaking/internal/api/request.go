package api

import (
	"fmt"
	"unicode/utf8"

	"github.com/holdfast-games/holdfast/pkg/httpkit"
	"github.com/holdfast-games/holdfast/proto/matchmakingapi"
	"github.com/holdfast-games/holdfast/services/matchmaking/internal/desk"
)

// Limits of a request, as in the OpenAPI document.
const (
	maxQueueName  = 128
	maxNamePart   = 64
	maxKey        = 128
	maxAttributes = 16
	maxAttribute  = 64 // characters of a name
	maxValues     = 32
	maxValue      = 128 // characters
	maxLatencies  = 32
	maxLatency    = 60_000 // ms
)

func requestOf(body matchmakingapi.EnqueueRequest, params matchmakingapi.EnqueueParams) (desk.Request, error) {
	name, err := queueName(body.Queue, body.ModID, body.GameMode)
	if err != nil {
		return desk.Request{}, err
	}
	r := desk.Request{Queue: name, Latencies: body.Latencies, Attributes: map[string][]string{}}
	if params.IdempotencyKey != nil {
		r.Key = *params.IdempotencyKey
		if r.Key == "" || len(r.Key) > maxKey {
			return desk.Request{}, httpkit.InvalidField(fmt.Sprintf("Idempotency-Key must have 1 to %d characters", maxKey))
		}
	}
	for attribute, values := range body.Attributes {
		r.Attributes[attribute] = values
	}
	if err := checkAttributes(r.Attributes); err != nil {
		return desk.Request{}, err
	}
	return r, checkLatencies(r.Latencies)
}

// queueName is queue, or "modId:gameMode".
func queueName(queue, modID, gameMode string) (string, error) {
	switch {
	case len(queue) > maxQueueName || len(modID) > maxNamePart || len(gameMode) > maxNamePart:
		return "", httpkit.InvalidField("the name of the queue is too long")
	case queue != "":
		return queue, nil
	case modID != "" && gameMode != "":
		return modID + ":" + gameMode, nil
	default:
		return "", httpkit.InvalidField("name a queue, by queue or by modId and gameMode")
	}
}

func checkAttributes(attributes map[string][]string) error {
	if len(attributes) > maxAttributes {
		return httpkit.InvalidField(fmt.Sprintf("attributes must be at most %d", maxAttributes))
	}
	for name, values := range attributes {
		if !sized(name, maxAttribute) || len(values) > maxValues {
			return httpkit.InvalidField(fmt.Sprintf("attributes have names of 1 to %d characters and at most %d values", maxAttribute, maxValues))
		}
		for _, v := range values {
			if !sized(v, maxValue) {
				return httpkit.InvalidField(fmt.Sprintf("values of attributes have 1 to %d characters", maxValue))
			}
		}
	}
	return nil
}

func sized(text string, most int) bool {
	n := utf8.RuneCountInString(text)
	return n >= 1 && n <= most
}

func checkLatencies(latencies map[string]float64) error {
	if len(latencies) > maxLatencies {
		return httpkit.InvalidField(fmt.Sprintf("latencies must be at most %d", maxLatencies))
	}
	for region, ms := range latencies {
		if !sized(region, maxAttribute) || ms < 0 || ms > maxLatency {
			return httpkit.InvalidField(fmt.Sprintf("latencies are 0 to %d ms, for regions of 1 to %d characters", maxLatency, maxAttribute))
		}
	}
	return nil
}
