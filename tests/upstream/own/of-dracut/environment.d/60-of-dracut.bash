# Only Ubuntu's is built from source; it is fetched for others, too.
export DIB_REPOLOCATION_dracut=file://$TMP_HOOKS_PATH/dracut.tar.xz
