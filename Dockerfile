# An image that trains the demo. It is built from wheels, without a network:
#   pip wheel -w wheels -c constraints.txt .     once, where there is a network
#   docker build -t graphkit . && docker run --rm graphkit
FROM python:3.11-slim
RUN --mount=type=bind,source=wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels graphkit-pyg
WORKDIR /runs
CMD ["python", "-m", "graphkit.demo"]
