"""A criterion, an operator, a space, a policy and an exporter that kgrow finds by their entry points."""
