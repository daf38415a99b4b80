package health

func deployment(o object) Status {
	want := o.intOr(1, "spec", "replicas")
	updated, all, available := o.int("status", "updatedReplicas"), o.int("status", "replicas"), o.int("status", "availableReplicas")
	if c := o.condition("Progressing"); c.reason() == "ProgressDeadlineExceeded" {
		return stalled(c.text())
	}
	if c := o.condition("ReplicaFailure"); c.is("True") {
		return stalled(c.text())
	}
	switch {
	case o.intOr(-1, "status", "observedGeneration") < 0:
		return progress("its controller has not seen it yet")
	case updated < want && o.bool("spec", "paused"):
		return progressf("the rollout is paused with %d of %d replicas updated", updated, want)
	case updated < want:
		return progressf("%d of %d replicas updated", updated, want)
	case all > updated:
		return progressf("%d old replicas still there", all-updated)
	case available < want:
		return progressf("%d of %d replicas available", available, want)
	}
	return current("")
}

func statefulSet(o object) Status {
	if o.string("spec", "updateStrategy", "type") == "OnDelete" {
		return current("")
	}
	want := o.intOr(1, "spec", "replicas")
	updating := max(0, want-o.int("spec", "updateStrategy", "rollingUpdate", "partition"))
	updated, ready := o.int("status", "updatedReplicas"), o.int("status", "readyReplicas")
	revision := o.string("status", "updateRevision")
	switch {
	case o.intOr(-1, "status", "observedGeneration") < 0:
		return progress("its controller has not seen it yet")
	case ready < want:
		return progressf("%d of %d replicas ready", ready, want)
	case o.string("status", "currentRevision") != revision && updated < updating:
		return progressf("%d of %d replicas updated", updated, updating)
	case o.int("status", "replicas") > want:
		return progressf("%d replicas too many still there", o.int("status", "replicas")-want)
	}
	return current("")
}

func daemonSet(o object) Status {
	if o.intOr(-1, "status", "observedGeneration") < 0 {
		return progress("its controller has not seen it yet")
	}
	want := o.int("status", "desiredNumberScheduled")
	updated, available := o.int("status", "updatedNumberScheduled"), o.int("status", "numberAvailable")
	switch {
	case o.string("spec", "updateStrategy", "type") != "OnDelete" && updated < want:
		return progressf("%d of %d pods updated", updated, want)
	case available < want:
		return progressf("%d of %d pods available", available, want)
	}
	return current("")
}

func replicaSet(o object) Status {
	if c := o.condition("ReplicaFailure"); c.is("True") {
		return stalled(c.text())
	}
	want, available := o.intOr(1, "spec", "replicas"), o.int("status", "availableReplicas")
	switch {
	case o.intOr(-1, "status", "observedGeneration") < 0:
		return progress("its controller has not seen it yet")
	case available < want:
		return progressf("%d of %d replicas available", available, want)
	}
	return current("")
}

func job(o object) Status {
	if c := o.condition("Failed"); c.is("True") {
		return stalled(c.text())
	}
	if c := o.condition("Complete"); c.is("True") {
		return current("")
	}
	if o.bool("spec", "suspend") {
		return current("suspended")
	}
	return progressf("running: %d pods active, %d succeeded, %d failed",
		o.int("status", "active"), o.int("status", "succeeded"), o.int("status", "failed"))
}

func pod(o object) Status {
	switch o.string("status", "phase") {
	case "Succeeded":
		return current("")
	case "Failed":
		return stalled(firstOf(o.string("status", "message"), o.string("status", "reason"), "the pod failed"))
	}
	if why := startFailure(o); why != "" {
		return stalled(why)
	}
	if c := o.condition("Ready"); c.is("True") {
		return current("")
	}
	if c := o.condition("PodScheduled"); c.is("False") {
		return progress(c.text())
	}
	return progress("the pod is not ready yet")
}

func claim(o object) Status {
	switch phase := o.string("status", "phase"); phase {
	case "Bound":
		return current("")
	case "Lost":
		return stalled("the volume is lost")
	}
	return progress("no volume is bound yet")
}

func definition(o object) Status {
	if c := o.condition("NamesAccepted"); c.is("False") {
		return stalled(c.text())
	}
	if c := o.condition("Established"); c.is("True") {
		return current("")
	}
	return progress("it is not established yet")
}

func apiService(o object) Status {
	if c := o.condition("Available"); !c.is("True") {
		return progress(firstOf(c.text(), "it is not available yet"))
	}
	return current("")
}

// argoRollout judges a Rollout of Argo Rollouts by the phase that its
// controller tells.
func argoRollout(o object) Status {
	message := o.string("status", "message")
	switch phase := o.string("status", "phase"); phase {
	case "":
		return conditions(o)
	case "Healthy":
		return current("")
	case "Degraded":
		return stalled(firstOf(message, "it is degraded"))
	case "Paused":
		return progress("the rollout is paused: " + firstOf(message, "it goes on when somebody promotes it"))
	default:
		return progress(firstOf(message, "phase "+phase))
	}
}

// helmRelease judges a HelmRelease of the Helm operator of Flux v1 by its phase.
func helmRelease(o object) Status {
	phase := o.string("status", "phase")
	why := phase
	for _, kind := range []string{"Released", "Deployed", "ChartFetched"} {
		if c := o.condition(kind); c.is("False") {
			why = firstOf(c.string("message"), phase)
			break
		}
	}
	switch phase {
	case "":
		return conditions(o)
	case "Succeeded", "Deployed", "Tested":
		return current("")
	case "Failed", "ChartFetchFailed", "DeployFailed", "TestFailed", "RollbackFailed", "RolledBack":
		return stalled(why)
	default:
		return progress("phase " + phase)
	}
}

func firstOf(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
