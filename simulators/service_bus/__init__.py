"""A pretend Service Bus: the session queue's engine behind AMQP 1.0, for the vendor's own client libraries. Standard library only."""
