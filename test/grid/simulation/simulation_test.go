package simulation_test

import (
	"flag"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/qos"
	"github.com/sluice-gateway/sluice/qos/judge"
	"github.com/sluice-gateway/sluice/test/grid/simulation"
)

var (
	schedules = flag.Int("schedules", 400, "random schedules of each level")
	seed      = flag.Uint64("seed", 1, "the first of them")
)

// play plays one schedule in a bubble of its own.
func play(t *testing.T, s simulation.Schedule) *judge.Verdict {
	t.Helper()
	var v *judge.Verdict
	synctest.Test(t, func(t *testing.T) {
		var err error
		if v, err = simulation.Play(s); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	})
	if v == nil {
		t.FailNow()
	}
	return v
}

// TestSchedules_KeepTheContract plays random faults. What it tells is what to repeat one with: -seed and the level.
func TestSchedules_KeepTheContract(t *testing.T) {
	for _, level := range qos.Levels() {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			delivered, again, lost, gaps := 0, 0, 0, 0
			for n := range uint64(*schedules) {
				s := simulation.Random(*seed+n, level)
				v := play(t, s)
				if err := v.Err(); err != nil {
					t.Fatalf("%s:\n%v", s, err)
				}
				for i := range v.Subscribers {
					if r := &v.Subscribers[i]; r.Subscriber == "client" || r.Subscriber == "both" {
						delivered, again, lost, gaps = delivered+r.Delivered, again+r.Duplicated, lost+r.Lost, gaps+r.Gaps
					}
				}
			}
			t.Logf("%d schedules: %d delivered, %d again, %d lost, %d gaps", *schedules, delivered, again, lost, gaps)
			if delivered == 0 || level != qos.AtMostOnce && level != qos.None && again == 0 || level == qos.AtMostOnce && lost == 0 || gaps == 0 {
				t.Error("the faults did nothing")
			}
		})
	}
}

// TestMutations_AreCaught breaks the contract in one way each, and wants the judge to say so under some schedule.
func TestMutations_AreCaught(t *testing.T) {
	for _, c := range []struct {
		mutation simulation.Mutation
		level    qos.Level
		rule     judge.Rules
		set      func(*simulation.Schedule)
	}{
		{simulation.CommitBeforeProof, qos.AtLeastOnce, judge.CommitAboveAck, nil},
		{simulation.CommitBeforeProof, qos.AtLeastOnce, judge.Loss, nil},
		{simulation.AdvanceOverHole, qos.AtLeastOnce, judge.CommitAboveAck, byOrder},
		{simulation.RangesAsPosition, qos.AtLeastOnce, judge.CommitAboveAck, byOrder},
		{simulation.ProveNewest, qos.AtLeastOnce, judge.CommitAboveAck, func(s *simulation.Schedule) { s.Proof = simulation.ByTCP }},
		{simulation.SkipSlow, qos.AtLeastOnce, judge.Loss, nil},
		{simulation.DeliverBeforeCommit, qos.AtMostOnce, judge.DeliveryAboveCommit, nil},
		{simulation.DeliverBeforeCommit, qos.AtMostOnce, judge.Duplicate, nil},
		{simulation.RepeatOne, qos.AtMostOnce, judge.Duplicate, nil},
		{simulation.IgnoreFence, qos.AtMostOnce, judge.Duplicate, func(s *simulation.Schedule) { s.Members = true }},
		{simulation.CommitPolled, qos.Auto, judge.CommitAboveDelivery, nil},
		{simulation.ResumeTooFar, qos.Auto, judge.SilentGap, func(s *simulation.Schedule) { s.Cursors = true }},
		{simulation.DropGap, qos.Auto, judge.SilentGap, func(s *simulation.Schedule) { s.Retention = true }},
		{simulation.DropGap, qos.None, judge.SilentGap, nil},
		{simulation.LoseFramed, qos.None, judge.SilentGap, nil},
		{simulation.LoseFramed, qos.AtLeastOnce, judge.Loss, nil},
		{simulation.SwapTwo, qos.None, judge.OrderPerPartition, nil},
		{simulation.SwapTwo, qos.AtLeastOnce, judge.OrderPerKey, nil},
	} {
		t.Run(c.level.String()+"/"+c.rule.String()+"/"+string(c.mutation), func(t *testing.T) {
			t.Parallel()
			const tries = 200
			for n := range uint64(tries) {
				s := simulation.Random(*seed+n, c.level)
				if c.set != nil {
					c.set(&s)
				}
				s.Mutation = c.mutation
				if caught(play(t, s), c.rule) {
					t.Logf("caught by schedule %d", n+1)
					return
				}
			}
			t.Errorf("%d schedules did not catch it", tries)
		})
	}
}

func byOrder(s *simulation.Schedule) { s.Proof = simulation.ByOrder }

func caught(v *judge.Verdict, rule judge.Rules) bool {
	return slices.ContainsFunc(v.Subscribers, func(r judge.Report) bool {
		return slices.ContainsFunc(r.Broken, func(b judge.Breach) bool { return b.Rule == rule && strings.TrimSpace(b.Example) != "" })
	})
}
