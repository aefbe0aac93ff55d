export DIB_REPOLOCATION_ibmtpm=file://$TMP_HOOKS_PATH/ibmtpm.tar.gz
export DIB_REPOLOCATION_keylime=$TMP_HOOKS_PATH/sources/keylime
export DIB_REPOLOCATION_pyenv=$TMP_HOOKS_PATH/sources/pyenv
export DIB_SSACLI_URL=file:///tmp/in_target.d/ssacli.rpm
