# Completion of mailchute(1) for bash. The lists follow the table of settings; a test compares the two.

_mailchute_values() {
	case $1 in
	--tls-min-version)
		COMPREPLY=($(compgen -W "1.0 1.1 1.2 1.3" -- "$2"))
		;;
	--ip-version)
		COMPREPLY=($(compgen -W "any 4 6" -- "$2"))
		;;
	--dsn-return)
		COMPREPLY=($(compgen -W "full hdrs" -- "$2"))
		;;
	--priority)
		COMPREPLY=($(compgen -W "high normal low" -- "$2"))
		;;
	--encoding)
		COMPREPLY=($(compgen -W "auto 7bit 8bit binary quoted-printable base64" -- "$2"))
		;;
	--log-format)
		COMPREPLY=($(compgen -W "text json" -- "$2"))
		;;
	--as)
		COMPREPLY=($(compgen -W "sendmail mail mailq newaliases" -- "$2"))
		;;
	--report)
		COMPREPLY=($(compgen -W "text json" -- "$2"))
		;;
	--missing)
		COMPREPLY=($(compgen -W "error empty" -- "$2"))
		;;
	--unknown)
		COMPREPLY=($(compgen -W "skip retry" -- "$2"))
		;;
	--unix-socket | --password-file | --oauth2-token-file | --tls-ca-file | --tls-cert-file | \
		--tls-key-file | --body-file | --html-file | -a | --attachments | --attach | --message-file | \
		--output | --params | --aliases-file | --log | --config | --batch | --data | --journal)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$2")
		;;
	--files-dir)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -d -- "$2")
		;;
	-S | --server | --port | --helo-name | --domain | --username | --user | --password-env | \
		--password-command | --password-fd | --auth | --oauth2-token-env | --oauth2-token-command | \
		--oauth2-token-fd | --tls-pinned-key | --proxy | --interface | --connect-timeout | --timeout | \
		--dot-timeout | --max-time | --limit-rate | --max-rcpt | -f | --from | --sender | \
		--envelope-from | --to | -c | --cc | -b | --bcc | --rcpt | --dsn-notify | --dsn-envid | -s | \
		--subject | --reply-to | --date | --zone | --message-id | --in-reply-to | --references | \
		--headers | --auto-submitted | --body | --html | --charset | --retries | --retry-delay | --account | \
		--from-name | --force-from | --mail-domain | --aliases | --workers | --window | --max-per-session | \
		--max-per-second | --max-per-minute)
		;;
	*)
		return 1
		;;
	esac
}

_mailchute() {
	local word=$2 before=$3 i

	COMPREPLY=()
	# A flag, "=" and its value come as three words where '=' breaks words.
	if [[ $word == = ]]; then
		word=
	elif [[ $before == = && $COMP_CWORD -ge 2 ]]; then
		before=${COMP_WORDS[COMP_CWORD - 2]}
	fi
	# Behind "--" every word is a recipient.
	for ((i = 1; i < COMP_CWORD; i++)); do
		[[ ${COMP_WORDS[i]} == -- ]] && return
	done
	if [[ $before == -* ]] && _mailchute_values "$before" "$word"; then
		return
	fi
	if [[ $word == -* ]]; then
		COMPREPLY=($(compgen -W "
			-S -f -c -b -t -s -a -i -n -v -q -h --server --port --tls --no-tls --starttls --no-starttls --lmtp
			--no-lmtp --unix-socket --helo-name --domain --username --user --password-env --password-file
			--password-command --password-fd --auth --oauth2-token-env --oauth2-token-file
			--oauth2-token-command --oauth2-token-fd --tls-verify --no-tls-verify --tls-ca-file
			--tls-cert-file --tls-key-file --tls-min-version --tls-pinned-key --allow-insecure-auth
			--no-allow-insecure-auth --proxy --interface --ip-version --connect-timeout --timeout
			--dot-timeout --max-time --limit-rate --max-rcpt --from --sender --envelope-from --to --cc --bcc
			--rcpt --dsn-notify --dsn-return --dsn-envid --require-tls --no-require-tls --all-or-nothing
			--no-all-or-nothing --subject --reply-to --date --zone --message-id --in-reply-to --references
			--headers --auto-submitted --priority --body --body-file --html --html-file --attachments
			--attach --charset --encoding --message-file --stream --no-stream --files-dir --report --dry-run
			--no-dry-run --output --verbose --no-verbose --quiet --no-quiet --params --print-params
			--print-schema --retries --retry-delay --account --read-recipients --no-read-recipients
			--from-name --force-from --mail-domain --aliases --aliases-file --ignore-dots --no-ignore-dots
			--require-end --no-require-end --skip-empty --no-skip-empty --log --log-format --config
			--check --as --batch --data --missing --workers --window --max-per-session --max-per-second
			--max-per-minute --ordered --no-ordered --stop-on-error --no-stop-on-error --journal --resume
			--no-resume --unknown --help --version
			" -- "$word"))
	fi
}

complete -F _mailchute mailchute
