"""What a transcript shows and where it stands: wrapping, rows, colours.

The widget is `app.widgets.transcript`. Everything here but `rows_view` is told of tokens and a width and
knows nothing of a running app, so that it is tested without one.
"""
