package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
	"github.com/sluice-gateway/sluice/proto/management"
)

// maxSubscription bounds what is read of a subscription's file, in bytes: what the management API takes.
const maxSubscription = 4 << 20

func newSubscriptions() *cobra.Command {
	cmd := &cobra.Command{
		Use: "subscriptions", Aliases: []string{"subscription", "subs"},
		Short: "Subscribe to push plans, and see how delivery stands",
		Long: `A subscription to a push plan has the workers deliver an API's messages to a subscriber, such as a webhook. It is
accepted by hand, unless its plan validates by itself; then it runs until it is paused, closed, or given up: "sluice
subscriptions resume" starts it again.

` + exitHelp,
		Example: example("sluice subscriptions list orders", "sluice subscriptions create orders -f hook.yaml --plan push",
			"sluice subscriptions attempts orders 5f0c"),
	}
	return group(cmd, newSubscriptionList(), newSubscriptionGet(), newSubscriptionCreate(),
		newSubscriptionMove("accept", "accepted", "Accept a pending subscription"),
		newSubscriptionMove("reject", "rejected", "Reject a pending subscription"),
		newSubscriptionMove("pause", "paused", "Pause an accepted subscription"),
		newSubscriptionResume(),
		newSubscriptionMove("close", "closed", "Close a subscription"),
		newSubscriptionReplay(), newSubscriptionAttempts())
}

func newSubscriptionList() *cobra.Command {
	var status, plan string
	cmd := &cobra.Command{
		Use: "list API", Aliases: []string{"ls"}, Short: "List an API's subscriptions, the newest first",
		Example: example("sluice subscriptions list orders", "sluice subscriptions list orders --status accepted,paused -o json"),
	}
	cmd.Flags().StringVar(&status, "status", "", "only these: pending, accepted, paused, rejected, closed")
	cmd.Flags().StringVar(&plan, "plan", "", "only those of this plan, by its name, key or id")
	named(cmd, "API")
	c := reading(cmd, func(ctx context.Context, s *session, args []string) error {
		api, err := s.find(ctx, args[0])
		if err != nil {
			return err
		}
		query := url.Values{}
		if status != "" {
			query.Set("status", status)
		}
		if plan != "" {
			p, err := s.findPlan(ctx, &api.Value, plan)
			if err != nil {
				return err
			}
			query.Set("plan", p.Value.ID)
		}
		all, err := s.Subscriptions(ctx, api.Value.ID, query)
		if err != nil {
			return err
		}
		return show(s, subscriptionView(api.Value.Name), all)
	})
	cmd.ValidArgsFunction = completeAPI(c)
	return cmd
}

func subscriptionView(api string) view[management.Subscription] {
	return view[management.Subscription]{
		header: []string{"ID", "APPLICATION", "STATUS", "DELIVERY", "TO"}, wide: []string{"PLAN", "CREATED", "CAUSE"},
		row: func(v *management.Subscription) []output.Cell {
			return []output.Cell{
				output.Text(v.ID), output.Text(v.Application), subscriptionStatus(v.Status), consumerStatus(v.ConsumerStatus), output.Text(target(v)),
				output.Text(v.Plan), moment(v.CreatedAt), {Text: v.FailureCause, Style: output.Bad},
			}
		},
		name:  func(v *management.Subscription) string { return v.ID },
		empty: "no subscriptions; \"sluice subscriptions create " + quoteArg(api) + " -f FILE\" makes one",
	}
}

// target is where a subscription delivers to: the URL of a webhook, else the kind of entrypoint.
func target(v *management.Subscription) string {
	c := v.ConsumerConfiguration
	if c == nil {
		return ""
	}
	var known struct {
		CallbackURL string `json:"callbackUrl"`
	}
	if json.Unmarshal(c.EntrypointConfiguration, &known) == nil && known.CallbackURL != "" {
		return known.CallbackURL
	}
	return c.EntrypointID
}

func subscriptionStatus(status string) output.Cell {
	c := output.Text(strings.ToLower(status))
	switch status {
	case management.SubscriptionAccepted:
		c.Style = output.Good
	case management.SubscriptionPending, management.SubscriptionPaused:
		c.Style = output.Odd
	default:
		c.Style = output.Faint
	}
	return c
}

func consumerStatus(status string) output.Cell {
	c := output.Text(strings.ToLower(status))
	c.Style = map[string]output.Style{management.ConsumerStarted: output.Good, management.ConsumerFailure: output.Bad}[status]
	if c.Style == output.Plain {
		c.Style = output.Odd
	}
	return c
}

func newSubscriptionGet() *cobra.Command {
	cmd := &cobra.Command{
		Use: "get API ID", Short: "Show a subscription, and how it stands on the workers",
		Example: example("sluice subscriptions get orders 5f0c", "sluice subscriptions get orders 5f0c -o yaml"),
	}
	named(cmd, "API", "subscription")
	c := reading(cmd, func(ctx context.Context, s *session, args []string) error {
		api, err := s.find(ctx, args[0])
		if err != nil {
			return err
		}
		sub, err := s.Subscription(ctx, api.Value.ID, args[1])
		if err != nil {
			return err
		}
		if s.format.Machine() {
			return output.Write(s.out, s.format, sub)
		}
		if s.format == output.Name {
			s.say("%s", sub.Value.ID)
			return nil
		}
		return s.subscription(&sub.Value)
	})
	cmd.ValidArgsFunction = completeAPI(c)
	return cmd
}

// subscription writes one for people.
func (s *session) subscription(v *management.Subscription) error {
	row := func(name string, c output.Cell) []output.Cell { return []output.Cell{output.Text(name), c} }
	g := output.Grid{Rows: [][]output.Cell{
		row("id", output.Text(v.ID)), row("plan", output.Text(v.Plan)), row("application", output.Text(v.Application)),
		row("status", subscriptionStatus(v.Status)), row("delivery", consumerStatus(v.ConsumerStatus)), row("to", output.Text(target(v))),
		row("created", moment(v.CreatedAt)),
	}}
	if v.FailureCause != "" {
		g.Rows = append(g.Rows, row("cause", output.Cell{Text: v.FailureCause, Style: output.Bad}))
	}
	if v.EndingAt != nil {
		g.Rows = append(g.Rows, row("ends", moment(*v.EndingAt)))
	}
	if err := g.Write(s.out, s.colour); err != nil {
		return err
	}
	if len(v.Workers) > 0 {
		w := output.Grid{Header: []string{"WORKER", "STATE", "LAG", "CAUSE"}}
		for _, one := range v.Workers {
			lag := ""
			if one.Lag != nil {
				lag = strconv.FormatUint(*one.Lag, 10)
			}
			w.Rows = append(w.Rows, []output.Cell{output.Text(one.Worker), state(one.State), output.Text(lag), {Text: one.Cause}})
		}
		s.say("")
		if err := w.Write(s.out, s.colour); err != nil {
			return err
		}
	}
	return s.replays(v.Replays)
}

func (s *session) replays(all []management.Replay) error {
	if len(all) == 0 {
		return nil
	}
	g := output.Grid{Header: []string{"REPLAY", "STATE", "FROM", "UNTIL", "WORKER", "ERROR"}}
	for _, r := range all {
		g.Rows = append(g.Rows, []output.Cell{
			output.Text(r.ID), state(r.State), output.Text(r.From), output.Text(r.Until), output.Text(r.Worker), {Text: r.Error, Style: output.Bad},
		})
	}
	s.say("")
	return g.Write(s.out, s.colour)
}

func newSubscriptionCreate() *cobra.Command {
	var file, plan, application string
	cmd := &cobra.Command{
		Use: "create API -f FILE", Short: "Subscribe to a push plan",
		Long: `Subscribe to a push plan. FILE says how to deliver, as JSON or YAML; - is standard input:

  consumerConfiguration:
    entrypointId: webhook
    entrypointConfiguration:
      callbackUrl: https://example.com/hook

` + exitHelp,
		Example: example("sluice subscriptions create orders -f hook.yaml", "sluice subscriptions create orders -f hook.json --plan gold --application shop"),
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "file with the subscription; - is standard input")
	cmd.Flags().StringVar(&plan, "plan", "", "plan to subscribe to, by its name, key or id (default: as FILE says)")
	cmd.Flags().StringVar(&application, "application", "", "who subscribes (default: as FILE says)")
	_ = cmd.MarkFlagRequired("file")
	onSubscriptions(cmd, 0, func(ctx context.Context, s *session, api *management.API, _ string) error {
		body, err := readSubscription(cmd, file)
		if err != nil {
			return err
		}
		if plan != "" {
			p, err := s.findPlan(ctx, api, plan)
			if err != nil {
				return err
			}
			plan = p.Value.ID
		}
		sub, err := s.CreateSubscription(ctx, api.ID, body, plan, application)
		if err != nil {
			return err
		}
		return s.tellSubscription(api, sub, "created, "+strings.ToLower(sub.Value.Status))
	})
	return cmd
}

func readSubscription(cmd *cobra.Command, file string) ([]byte, error) {
	from := cmd.InOrStdin()
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, usageOf(cmd, "--file: %s", pathError(err))
		}
		defer f.Close()
		from = f
	}
	body, err := io.ReadAll(io.LimitReader(from, maxSubscription+1))
	if err != nil {
		return nil, fmt.Errorf("read the subscription: %w", err)
	}
	if len(body) > maxSubscription {
		return nil, usageOf(cmd, "--file: larger than 4 MiB")
	}
	return body, nil
}

// onSubscriptions makes cmd one that does something to an API's subscriptions, or with one argument more to one of them.
func onSubscriptions(cmd *cobra.Command, more int, do func(ctx context.Context, s *session, api *management.API, id string) error) {
	named(cmd, []string{"API", "subscription"}[:1+more]...)
	outputFlag(cmd)
	c := connect(cmd)
	cmd.ValidArgsFunction = completeAPI(c)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		api, err := s.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		return do(cmd.Context(), s, &api.Value, args[len(args)-1])
	}
}

func newSubscriptionMove(move, done, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: move + " API ID", Short: short, Long: short + ".\n\n" + exitHelp,
		Example: example("sluice subscriptions " + move + " orders 5f0c"),
	}
	onSubscriptions(cmd, 1, func(ctx context.Context, s *session, api *management.API, id string) error {
		sub, err := s.MoveSubscription(ctx, api.ID, id, move)
		if err != nil {
			return err
		}
		return s.tellSubscription(api, sub, done)
	})
	return cmd
}

func newSubscriptionResume() *cobra.Command {
	cmd := &cobra.Command{
		Use: "resume API ID", Short: "Deliver again to a subscription that was paused, or that failed",
		Long:    "Deliver again to a subscription that its publisher paused, that its consumer stopped, or that failed.\n\n" + exitHelp,
		Example: example("sluice subscriptions resume orders 5f0c"),
	}
	onSubscriptions(cmd, 1, func(ctx context.Context, s *session, api *management.API, id string) error {
		sub, err := s.Subscription(ctx, api.ID, id)
		if err != nil {
			return err
		}
		stopped := sub.Value.ConsumerStatus != management.ConsumerStarted
		if sub.Value.Status == management.SubscriptionPaused || !stopped { // the server says why one that is not cannot be
			if sub, err = s.MoveSubscription(ctx, api.ID, id, "resume"); err != nil {
				return err
			}
		}
		if stopped {
			if sub, err = s.StartConsumer(ctx, api.ID, id); err != nil {
				return err
			}
		}
		return s.tellSubscription(api, sub, "resumed")
	})
	return cmd
}

func (s *session) tellSubscription(api *management.API, sub *rest.Item[management.Subscription], did string) error {
	if s.format.Machine() {
		return output.Write(s.out, s.format, sub)
	}
	s.say("%s: subscription %s %s", api.Name, sub.Value.ID, did)
	if sub.Value.Status == management.SubscriptionPending {
		s.say("it delivers once it is accepted: sluice subscriptions accept %s %s", quoteArg(api.Name), sub.Value.ID)
	}
	return nil
}

func newSubscriptionReplay() *cobra.Command {
	var r management.NewReplay
	cmd := &cobra.Command{
		Use: "replay API ID --from FROM", Short: "Deliver a part of the past again",
		Long: `Deliver a part of the past again, beside the live delivery. FROM is a message id, earliest, or @ and a time; UNTIL a
message id, or @ and a time. Without it, what is there when the replay begins is the end.

` + exitHelp,
		Example: example("sluice subscriptions replay orders 5f0c --from @2026-11-22T10:00:00Z --until @2026-11-22T11:00:00Z"),
	}
	cmd.Flags().StringVar(&r.From, "from", "", "where to begin")
	cmd.Flags().StringVar(&r.Until, "until", "", "where to end")
	_ = cmd.MarkFlagRequired("from")
	onSubscriptions(cmd, 1, func(ctx context.Context, s *session, api *management.API, id string) error {
		replay, err := s.Replay(ctx, api.ID, id, r)
		if err != nil {
			return err
		}
		if s.format.Machine() {
			return output.Write(s.out, s.format, replay)
		}
		s.say("%s: replay %s of subscription %s begun; how it goes: sluice subscriptions get %s %s", api.Name, replay.Value.ID, id, quoteArg(api.Name), id)
		return nil
	})
	return cmd
}

func newSubscriptionAttempts() *cobra.Command {
	limit := 20
	cmd := &cobra.Command{
		Use: "attempts API ID", Short: "Show the last tries to deliver, the newest first",
		Example: example("sluice subscriptions attempts orders 5f0c", "sluice subscriptions attempts orders 5f0c --limit 100 -o json"),
	}
	cmd.Flags().IntVar(&limit, "limit", limit, "how many, at most 100")
	onSubscriptions(cmd, 1, func(ctx context.Context, s *session, api *management.API, id string) error {
		if limit < 1 || limit > 100 {
			return usageOf(cmd, "--limit %d: must be between 1 and 100", limit)
		}
		attempts, err := s.Attempts(ctx, api.ID, id, limit)
		if err != nil {
			return err
		}
		if s.format.Machine() {
			return output.Write(s.out, s.format, attempts)
		}
		return s.attempts(&attempts.Value)
	})
	return cmd
}

func (s *session) attempts(v *management.Attempts) error {
	for _, w := range v.Silent {
		fmt.Fprintf(s.err, "worker %s did not answer; what it tried is missing\n", w)
	}
	if len(v.Data) == 0 {
		_, err := fmt.Fprintln(s.err, "no attempts")
		return err
	}
	g := output.Grid{Header: []string{"AT", "OUTCOME", "TRY", "STATUS", "TOOK", "WORKER", "MESSAGE", "ERROR"}}
	for _, a := range v.Data {
		status := ""
		if a.Status != 0 {
			status = strconv.Itoa(a.Status)
		}
		outcome := output.Text(strings.ToLower(a.Outcome))
		outcome.Style = output.Bad
		switch a.Outcome {
		case "DELIVERED":
			outcome.Style = output.Good
		case "RETRIED":
			outcome.Style = output.Odd
		}
		took := time.Duration(a.TookMS * float64(time.Millisecond)).Round(100 * time.Microsecond)
		g.Rows = append(g.Rows, []output.Cell{
			moment(a.At), outcome, output.Text(strconv.Itoa(a.Number)), output.Text(status), output.Text(took.String()), output.Text(a.Worker),
			output.Text(a.Message), {Text: a.Error, Style: output.Bad},
		})
	}
	return g.Write(s.out, s.colour)
}
