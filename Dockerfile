# `joinery worker` in a container: the webhooks, the messages of the queue and the timers, without Azure Functions.
# Build it here: `docker build -t joinery:1 .`; docs/edges/service-bus.md says how to run it.
FROM python:3.12-slim
RUN useradd --create-home --uid 10001 joinery && mkdir /data && chown joinery /data
WORKDIR /app
COPY requirements.txt ./
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml requirements.in README.md host.json function_app.py wiring.py ./
COPY joinery joinery
COPY adapters adapters
COPY workflows workflows
COPY config config
RUN pip install --no-cache-dir --no-deps --editable .
USER joinery
VOLUME /data
EXPOSE 8080
# Ten seconds are enough for a stop: what is in hand is finished, or goes on elsewhere.
STOPSIGNAL SIGTERM
CMD ["joinery", "worker", "--listen", "0.0.0.0", "--port", "8080", "--data", "/data"]
