"""The signals that report changes to users to the rest of the service."""

from django.dispatch import Signal

# Sent when a user's password or rights have changed, inside the transaction. Arguments: ``user_id``; ``changed``, the
# names of the columns; for a change by the user, also ``except_session_id``, the session to keep, and ``client``, the
# IP address of the request.
credentials_changed = Signal()
