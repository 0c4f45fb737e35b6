"""The signals by which the rest of the service learns of changes to users."""

from django.dispatch import Signal

# A user's password or rights have changed, in a transaction that is still open. Arguments: ``user_id``; ``changed``,
# the names of the columns; for a change by the user, also ``except_session_id``, which goes on, and the IP address of
# the ``client``.
credentials_changed = Signal()
