"""The stand-ins: a pretend Graph and a pretend Halo, small web apps that keep the other side's habits. Never deployed."""
