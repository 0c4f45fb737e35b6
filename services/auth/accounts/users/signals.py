"""What the rest of the service is told about users."""

from django.dispatch import Signal

# A user's password or rights have changed, in the transaction that is still open. Arguments: ``user_id``, and
# ``except_session_id`` where the session that made the change goes on.
credentials_changed = Signal()
