"""A criterion, a space and an exporter that kgrow finds by their entry points."""
