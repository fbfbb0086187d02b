package client

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sluice-gateway/sluice/cmd/internal/client/output"
	"github.com/sluice-gateway/sluice/cmd/internal/client/rest"
)

// securities are the ways of a plan to know its callers.
var securities = []string{"key-less", "api-key", "jwt", "oauth2", "mtls"}

func newPlan() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "plan",
		Short: "Create plans and move them along their life",
		Long: `A plan says who may use an API. Its life goes one way: staging, published, deprecated (served, but closed to newcomers),
closed. What workers serve changes with the next "sluice deploy". "sluice get plans" lists them.

` + exitHelp,
		Example: example("sluice plan create orders --security key-less --publish", "sluice plan close orders 'Free plan'"),
	}
	return group(cmd, newPlanCreate(),
		newPlanMove("publish", "published", "Publish a staged plan"),
		newPlanMove("deprecate", "deprecated", "Close a published plan to newcomers"),
		newPlanMove("close", "closed", "Close a plan, and with it its subscriptions"))
}

type planOptions struct {
	name, description, security, configuration, rule, validation string
	tags                                                         []string
	publish                                                      bool
}

func newPlanCreate() *cobra.Command {
	var o planOptions
	cmd := &cobra.Command{
		Use: "create API", Args: cobra.ExactArgs(1),
		Short: "Create a plan",
		Example: example("sluice plan create orders --security key-less --publish",
			"sluice plan create orders --name Gold --security api-key --configuration '{\"propagateApiKey\":true}'",
			"sluice plan create orders --security jwt --configuration @jwt.json"),
	}
	f := cmd.Flags()
	f.StringVar(&o.name, "name", "", "name of the plan (default: after its security, e.g. Keyless)")
	f.StringVar(&o.description, "description", "", "what it offers")
	f.StringVar(&o.security, "security", "", "how callers are known: "+strings.Join(securities, ", "))
	f.StringVar(&o.configuration, "configuration", "", "settings of the security, as JSON or @FILE")
	f.StringVar(&o.rule, "selection-rule", "", "expression that must be true for the plan to apply")
	f.StringVar(&o.validation, "validation", "", "who lets subscribers in: auto or manual")
	f.StringSliceVar(&o.tags, "tag", nil, "sharding tags of the workers that serve it")
	f.BoolVar(&o.publish, "publish", false, "publish it at once")
	_ = cmd.MarkFlagRequired("security")
	_ = cmd.RegisterFlagCompletionFunc("security", cobra.FixedCompletions(securities, cobra.ShellCompDirectiveNoFileComp))
	outputFlag(cmd)
	c := connect(cmd)
	cmd.ValidArgsFunction = completeAPI(c)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		plan, err := o.body(cmd)
		if err != nil {
			return err
		}
		return createPlan(cmd, c, args[0], plan, o.publish)
	}
	return cmd
}

// body is the plan that the flags say.
func (o *planOptions) body(cmd *cobra.Command) (rest.NewPlan, error) {
	security := strings.ToLower(strings.ReplaceAll(o.security, "_", "-"))
	if security == "keyless" {
		security = "key-less"
	}
	if !contains(securities, security) {
		return rest.NewPlan{}, usageOf(cmd, "--security %s: choose one of: %s", o.security, strings.Join(securities, ", "))
	}
	validation := strings.ToUpper(o.validation)
	if validation != "" && validation != "AUTO" && validation != "MANUAL" {
		return rest.NewPlan{}, usageOf(cmd, "--validation %s: choose one of: auto, manual", o.validation)
	}
	plan := rest.NewPlan{
		Name: o.name, Description: o.description, SelectionRule: o.rule, Validation: validation, Tags: o.tags,
		Security: &rest.PlanSecurity{Type: security},
	}
	if plan.Name == "" {
		plan.Name = map[string]string{"key-less": "Keyless", "api-key": "API key", "jwt": "JWT", "oauth2": "OAuth2", "mtls": "mTLS"}[security]
	}
	text := []byte(o.configuration)
	if file, ok := strings.CutPrefix(o.configuration, "@"); ok {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return plan, usageOf(cmd, "--configuration: %s", pathError(err))
		}
	}
	if len(text) > 0 {
		if !json.Valid(text) {
			return plan, usageOf(cmd, "--configuration is not JSON")
		}
		plan.Security.Configuration = text
	}
	return plan, nil
}

func createPlan(cmd *cobra.Command, c *connection, ref string, plan rest.NewPlan, publish bool) error {
	s, err := open(cmd, c)
	if err != nil {
		return err
	}
	api, err := s.find(cmd.Context(), ref)
	if err != nil {
		return err
	}
	created, err := s.CreatePlan(cmd.Context(), api.Value.ID, plan)
	if err != nil {
		return err
	}
	if publish && !strings.EqualFold(created.Value.Status, "published") {
		id := created.Value.ID
		if created, err = s.MovePlan(cmd.Context(), api.Value.ID, id, "publish"); err != nil {
			return fmt.Errorf("plan %s was created but not published: %w", id, err)
		}
	}
	return s.tellPlan(&api.Value, created, "created, "+strings.ToLower(created.Value.Status))
}

func newPlanMove(move, done, short string) *cobra.Command {
	cmd := &cobra.Command{
		Use: move + " API PLAN", Args: cobra.ExactArgs(2), Short: short,
		Long:    short + ". PLAN is its name, key or id.\n\n" + exitHelp,
		Example: example("sluice plan " + move + " orders 'Free plan'"),
	}
	outputFlag(cmd)
	c := connect(cmd)
	cmd.ValidArgsFunction = completePlan(c)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		s, err := open(cmd, c)
		if err != nil {
			return err
		}
		api, err := s.find(cmd.Context(), args[0])
		if err != nil {
			return err
		}
		plan, err := s.findPlan(cmd.Context(), &api.Value, args[1])
		if err != nil {
			return err
		}
		moved, err := s.MovePlan(cmd.Context(), api.Value.ID, plan.Value.ID, move)
		if err != nil {
			return err
		}
		return s.tellPlan(&api.Value, moved, done)
	}
	return cmd
}

// tellPlan says what became of a plan, and what is left to do for the workers to know it.
func (s *session) tellPlan(api *rest.API, plan *rest.Item[rest.Plan], did string) error {
	if s.format.Machine() {
		return output.Write(s.out, s.format, plan)
	}
	s.say("%s: plan %s (%s) %s", api.Name, plan.Value.Name, plan.Value.ID, did)
	if api.Started() || api.DeploymentState == "DEPLOYED" {
		s.say("the workers learn of it with: sluice deploy %s", quoteArg(api.Name))
	}
	return nil
}
