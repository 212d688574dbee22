"""What the scripts share: sourced, imported or called by them, never by hand."""
