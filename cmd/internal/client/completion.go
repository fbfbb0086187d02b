package client

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// completionPatience is how long a shell waits for names when its user presses Tab.
const completionPatience = 2 * time.Second

// completeAPI offers the names of APIs for the first argument. A server that does not answer offers none: a shell has
// no place for an error.
func completeAPI(c *connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return c.names(cmd, typed), cobra.ShellCompDirectiveNoFileComp
	}
}

// names are the APIs that typed may become: by name as one word, so that no shell has to quote it.
func (c *connection) names(cmd *cobra.Command, typed string) []cobra.Completion {
	ctx, cancel := context.WithTimeout(parentOf(cmd), completionPatience)
	defer cancel()
	client, err := c.dial()
	if err != nil {
		return nil
	}
	all, err := client.APIs(ctx)
	if err != nil {
		return nil
	}
	count := map[string]int{}
	for _, a := range all {
		count[word(a.Value.Name)]++
	}
	var names []cobra.Completion
	for _, a := range all {
		name, about := word(a.Value.Name), a.Value.Name+" "+a.Value.APIVersion
		if count[name] > 1 || name == "" {
			name = a.Value.ID
		}
		if strings.HasPrefix(name, typed) {
			names = append(names, cobra.CompletionWithDesc(name, about))
		}
	}
	return names
}

// completePlan offers the API first, then its plans.
func completePlan(c *connection) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) != 1 {
			return completeAPI(c)(cmd, args, typed)
		}
		ctx, cancel := context.WithTimeout(parentOf(cmd), completionPatience)
		defer cancel()
		s, err := open(cmd, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		api, err := s.find(ctx, args[0])
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		plans, _ := s.Plans(ctx, api.Value.ID)
		var ids []cobra.Completion
		for _, p := range plans {
			if strings.HasPrefix(p.Value.ID, typed) {
				ids = append(ids, cobra.CompletionWithDesc(p.Value.ID, p.Value.Name+" "+p.Value.Status))
			}
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}

// parentOf is the context of a command; completion runs without one.
func parentOf(cmd *cobra.Command) context.Context {
	if ctx := cmd.Context(); ctx != nil {
		return ctx
	}
	return context.TODO()
}
