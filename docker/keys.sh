#!/bin/sh
# Once, before the trainer starts: its keys, and one key file each for the dashboard and the demo's agent.
# Each step is either done or not; whoever is killed between two of them begins again here and comes to the same end.
set -eu

trainer=${SENTRY_DIR:-/var/lib/sentry/trainer} # the trainer's alone
offline=${OFFLINE:-/offline}                   # no running service has it; move it to a medium and lock it away
handed=${HANDED:-/handed}                      # a folder for each of those who get a key file

if [ ! -d "$trainer" ]; then
    rm -rf "$trainer.new"
    sentry-keys init --dir "$trainer.new" --host trainer
    mv "$trainer.new" "$trainer"
fi
if [ -d "$trainer/offline" ]; then
    cp -r "$trainer/offline/." "$offline/"
    sync
    rm -rf "$trainer/offline"
fi

hand() { # NAME ROLE: under its last name, a key file is whole and enrolled
    file=$handed/$1/sentry.key
    [ ! -e "$file" ] || return 0
    rm -f "$file.new" "$handed/$1"/.sentry.key.new.*
    if grep -q "^ \"$1\": " "$trainer/enrolled.json"; then
        sentry-keys rotate agent "$1" --dir "$trainer" --out "$file.new"
    else
        sentry-keys enroll "$1" --role "$2" --dir "$trainer" --out "$file.new"
    fi
    mv "$file.new" "$file"
}

hand dashboard control
hand demo agent
